"""What the planner is told of the world: what the clusters show, what the store remembers.

    clusters ─observe─▶ Observed ─┐
    store ─────────────▶ Recorded ─┼─▶ make_plan
    files ─────────────▶ Estate  ──┘

Values only: nothing here reads a cluster or a database. Observations are never kept for later;
the next plan looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.model import clusters, connectors, tables, topics

__all__ = ["Observed", "ObservedCluster", "ObservedTopic", "Recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTopic:
    """A physical topic as its cluster shows it.

    Attributes:
        replication: of the partition with the fewest replicas.
        config: only what is set on the topic itself, not what it inherits from its brokers.
        has_records: whether a record can be read from it; None where nobody looked. Only a proven
            False lets a topic be deleted.
        under_replicated: partitions with fewer in-sync replicas than replicas.
    """

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)
    has_records: bool | None = None
    under_replicated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCluster:
    """A cluster as it answered, or did not.

    Attributes:
        cluster_id: Kafka's own id, empty where the cluster did not answer.
        error: why it did not answer, for people.
        brokers: how many are alive.
        topics: by physical name, Kafka's internal ones left out.
    """

    name: str
    reachable: bool
    cluster_id: str = ""
    error: str = ""
    brokers: int = 0
    topics: Mapping[str, ObservedTopic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Every cluster that was asked, declared or recorded, by name."""

    clusters: Mapping[str, ObservedCluster] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the store holds of earlier applies.

    Clusters and topics are recorded as they were declared: an operator's cordon and choice of
    active cluster are kept beside them, so that no plan can see or undo one.

    Attributes:
        ownership: ``Topic.ident`` by (cluster, physical topic); nothing else is ever altered or
            deleted.
        clusters: by name; ``cluster_id`` is the id seen when the cluster first answered.
        topics: by ``Topic.ident``, with every epoch.
        tables: by ``Table.ident``.
        connectors: by ``Connector.ident``.
    """

    ownership: Mapping[tuple[str, str], str] = field(default_factory=dict)
    clusters: Mapping[str, clusters.Cluster] = field(default_factory=dict)
    topics: Mapping[str, topics.Topic] = field(default_factory=dict)
    tables: Mapping[str, tables.Table] = field(default_factory=dict)
    connectors: Mapping[str, connectors.Connector] = field(default_factory=dict)
