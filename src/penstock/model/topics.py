"""Logical topics, their placements on clusters, and the epochs of their lives.

    Topic (declared) ──┐
                       ├─▶ Epoch 1 ─▶ Epoch 2 …   each with fixed placements and routing
    Placements ────────┘

A topic is a list of epochs from its first day on: a move, a change of partition count of a keyed
topic, an evacuation and a fail-back each append one. Never does an epoch change its partitions
in place once a keyed record is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Epoch", "EpochState", "Ordering", "Placement", "Routing", "Topic"]


class Routing(StrEnum):
    """How a producer chooses among the clusters of a topic."""

    NA = "na"
    """The first cluster, always."""
    FAILOVER = "failover"
    """The first cluster that works."""
    ROUNDROBIN = "roundrobin"
    """Every cluster that works, in turn."""
    REPLICATE = "replicate"
    """Every cluster, the same record id on each."""


class Ordering(StrEnum):
    """What consumers may rely on."""

    NONE = "none"
    KEY = "key"
    """Records of one key are read in the order they were acked."""


class EpochState(StrEnum):
    """Where an epoch is in its life; see DESIGN.md for the way from one to the next."""

    PREPARE = "prepare"
    OPEN = "open"
    FENCED = "fenced"
    SEALED = "sealed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A topic's home on one cluster.

    Attributes:
        cluster: the cluster's name.
        topic: the physical topic's name there.
        partitions: at least 1.
        replication: replicas of each partition, at least 1.
        config: Kafka's topic configuration, names and values as Kafka has them.
    """

    cluster: str
    topic: str
    partitions: int
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A span of a topic's life with fixed placements and routing.

    Attributes:
        number: 1, 2, …
        placements: in order of preference.
        sealed: end offsets by cluster, one a partition, once the epoch is sealed.
    """

    number: int
    state: EpochState
    routing: Routing
    placements: tuple[Placement, ...]
    sealed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A logical topic in one environment.

    Attributes:
        name: logical name, unique in its environment.
        owner: the one team that answers for it.
        epochs: oldest first; what is declared has exactly one, the open one.
        active_cluster: the operator's choice of cluster under ``failover``; empty for none.
    """

    name: str
    environment: str
    owner: str
    description: str = ""
    ordering: Ordering = Ordering.NONE
    epochs: tuple[Epoch, ...] = ()
    active_cluster: str = ""

    @property
    def ident(self) -> str:
        """Return ``environment/name``, unique in the estate."""
        return f"{self.environment}/{self.name}"

    @property
    def current(self) -> Epoch:
        """Return the epoch that takes writes: the newest open one, else the newest.

        Raises:
            ValueError: when the topic has no epoch, which no declared or served topic is.
        """
        for epoch in reversed(self.epochs):
            if epoch.state is EpochState.OPEN:
                return epoch
        if not self.epochs:
            raise ValueError(f"topic {self.ident} has no epoch")
        return self.epochs[-1]
