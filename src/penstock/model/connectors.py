"""A connector: what Kafka Connect runs to bring a source into topics, or topics into a sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Connector", "ConnectorState", "Kind"]


class Kind(StrEnum):
    """What a connector connects; `custom` names its own class."""

    POSTGRES = "postgres"
    MONGODB = "mongodb"
    SNOWFLAKE = "snowflake"
    CUSTOM = "custom"


class ConnectorState(StrEnum):
    """What is wanted of a connector."""

    RUNNING = "running"
    PAUSED = "paused"
    """Its tasks stay, and do nothing."""
    STOPPED = "stopped"
    """It has no tasks; its position is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One declared connector.

    Attributes:
        environment: of the cluster.
        cluster: the Kafka cluster whose Connect group runs it, and whose topics it writes or reads.
        connector_class: Java class; the kind's own, or the one the document names.
        tasks: at most so many.
        config: all of Connect's own settings, by its names, but for ``name``, ``connector.class``
            and ``tasks.max``. Secrets stand as `${file:…}` or `${env:…}`, never as they are.
        topics: those it writes or reads, by their logical names; none where that is not known.
    """

    name: str
    environment: str
    owner: str
    cluster: str
    kind: Kind
    connector_class: str = ""
    tasks: int = 1
    state: ConnectorState = ConnectorState.RUNNING
    config: Mapping[str, str] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    description: str = ""

    @property
    def ident(self) -> str:
        """Return ``environment/name``, unique in the estate."""
        return f"{self.environment}/{self.name}"
