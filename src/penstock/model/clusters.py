"""What a Kafka cluster is to Penstock: where it is, how to reach it, whether it takes traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["AuthMode", "Category", "Cluster", "ClusterState"]


class Category(StrEnum):
    """What kind of stream a cluster is for; topics of a kind live together."""

    EVENTS = "events"
    CDC = "cdc"
    METRICS = "metrics"
    DEDICATED = "dedicated"


class ClusterState(StrEnum):
    """Whether a cluster takes traffic."""

    ACTIVE = "active"
    CORDONED = "cordoned"
    """Producers leave it where the routing names another cluster; consumers stay."""
    DRAINING = "draining"
    """As cordoned, on the way out: consumers empty it."""
    RETIRED = "retired"
    """No client uses it."""

    @property
    def takes_writes(self) -> bool:
        """Tell whether producers may choose the cluster."""
        return self is ClusterState.ACTIVE


class AuthMode(StrEnum):
    """How a client proves who it is to a broker; one listener each."""

    PLAINTEXT = "plaintext"
    MTLS = "mtls"
    SCRAM = "scram"
    IAM = "iam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One Kafka cluster.

    Attributes:
        name: unique in the estate.
        environment: e.g. ``development``; a topic never spans two.
        bootstrap: ``host:port,…`` by auth mode.
        cluster_id: Kafka's own id of it; empty until it is known.
        embedded: whether Penstock's runtime starts it on this machine.
    """

    name: str
    environment: str
    category: Category = Category.EVENTS
    region: str = "local"
    bootstrap: Mapping[AuthMode, str] = field(default_factory=dict)
    state: ClusterState = ClusterState.ACTIVE
    cluster_id: str = ""
    embedded: bool = False
