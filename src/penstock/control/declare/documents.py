"""The kinds of documents an estate is written in: one pydantic model a kind.

YAML ─▶ ClusterDocument | TopicDocument | TopicProfileDocument | … ─▶ resolver

The models are the one source of validation, of the JSON Schemas for editors and of the reference
page, so each field carries its docstring. Keys are written in kebab-case. They judge a document by
itself; whatever needs a second document is the resolver's.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from penstock.control.declare.connector_documents import ConnectorDocument
from penstock.control.declare.fields import (
    Address,
    ConfigValue,
    Count,
    DnsName,
    Duration,
    Flag,
    Names,
    Pattern,
    Period,
    Size,
    Space,
    Suffixes,
    TopicName,
)
from penstock.control.declare.part import Part
from penstock.control.declare.table_documents import TableDocument
from penstock.model import clusters, topics

__all__ = [
    "KINDS",
    "ClusterDocument",
    "EnvironmentOverride",
    "Limits",
    "Policies",
    "TopicDocument",
    "TopicProfileDocument",
    "TopicSettings",
]


class TopicSettings(Part):
    """What a topic is on its clusters. Nothing is needed where another layer says it."""

    partitions: Count | None = None
    """How many partitions."""
    replication: Count | None = None
    """Replicas of each partition."""
    retention: Duration | None = None
    """How long records are kept, e.g. `7d`, or `forever`. Kafka's `retention.ms`."""
    retention_bytes: Space | None = None
    """How much of each partition is kept, e.g. `10GiB`, or `unlimited`. `retention.bytes`."""
    max_message: Size | None = None
    """The largest batch a producer may send, e.g. `1MiB`. `max.message.bytes`."""
    segment: Period | None = None
    """The age at which a segment is closed, e.g. `1h`. `segment.ms`."""
    segment_bytes: Size | None = None
    """The size at which a segment is closed, e.g. `1GiB`. `segment.bytes`."""
    cleanup: Literal["delete", "compact", "compact,delete"] | None = None
    """What becomes of old records. `cleanup.policy`."""
    min_in_sync: Count | None = None
    """Replicas that must have a record before it is acked. `min.insync.replicas`."""
    config: dict[str, ConfigValue] = Field(default_factory=dict)
    """Any other topic configuration, by Kafka's names."""


class EnvironmentOverride(TopicSettings):
    """What is different in one environment."""

    routing: topics.Routing | None = None
    """How a producer chooses among the clusters of this environment."""


class TopicDocument(TopicSettings):
    """A logical topic: in each environment it has clusters in, one topic."""

    kind: Literal["Topic"]
    name: TopicName
    """The logical name, and the physical one on each cluster."""
    owner: DnsName
    """The one team that answers for it."""
    description: str = ""
    """What its records mean."""
    clusters: Names = Field(min_length=1)
    """Where it lives, in order of preference. Their environments are the topic's."""
    routing: topics.Routing = topics.Routing.NA
    """How a producer chooses among the clusters."""
    ordering: topics.Ordering = topics.Ordering.NONE
    """What consumers may rely on; `key` allows only routing `na`."""
    dev_variant_suffix: Suffixes = Field(default_factory=list)
    """One more topic for each suffix, e.g. `-v2`, in the environment `development` only."""
    profile: str | None = None
    """A TopicProfile whose settings hold where this document says nothing."""
    environments: dict[str, EnvironmentOverride] = Field(default_factory=dict)
    """What is different in an environment."""
    overrides: dict[str, TopicSettings] = Field(default_factory=dict)
    """What is different on a cluster."""


class TopicProfileDocument(TopicSettings):
    """Settings that topics share by naming the profile."""

    kind: Literal["TopicProfile"]
    name: DnsName
    """What topics call it."""
    description: str = ""
    """What it is for."""
    extends: str | None = None
    """Another profile whose settings hold where this one says nothing."""


class Policies(Part):
    """What every topic on the cluster must keep to."""

    naming_pattern: Pattern | None = None
    """A regular expression that the whole name must match."""
    min_replication: Count | None = None
    """The fewest replicas."""
    max_replication: Count | None = None
    """The most replicas."""
    max_partitions: Count | None = None
    """The most partitions of one topic."""
    max_retention: Period | None = None
    """The longest retention; `forever` is longer."""
    forbidden_config: list[str] = Field(default_factory=list)
    """Topic configuration that must not be set."""


class Limits(Part):
    """What the cluster can carry, over all declared topics."""

    topics: Count | None = None
    """The most topics."""
    replicas: Count | None = None
    """The most partition replicas: partitions times replication, summed."""
    brokers: Count | None = None
    """How many brokers it has; no topic has more replicas."""


class ClusterDocument(Part):
    """A Kafka cluster."""

    kind: Literal["Cluster"]
    name: DnsName
    """Unique in the estate."""
    description: str = ""
    """What it is for."""
    environment: DnsName
    """E.g. `development`, where alone variants are made. It can never change."""
    category: clusters.Category = clusters.Category.EVENTS
    """The kind of streams that live together here."""
    region: str = "local"
    """Where it runs."""
    embedded: Flag = False
    """Whether Penstock's own runtime starts it; then it needs no `bootstrap`."""
    bootstrap: dict[clusters.AuthMode, Address] = Field(default_factory=dict)
    """`host:port,…` for each way a client can prove who it is."""
    cluster_id: str = ""
    """Kafka's own id; another answering in its place is refused. Learnt when first seen."""
    state: clusters.ClusterState = clusters.ClusterState.ACTIVE
    """Whether it takes traffic; `draining` and `retired` take no new topics."""
    topic_defaults: TopicSettings = Field(default_factory=TopicSettings)
    """Settings of topics here, where neither topic nor profile says otherwise."""
    policies: Policies = Field(default_factory=Policies)
    """What every topic here must keep to."""
    limits: Limits = Field(default_factory=Limits)
    """What it can carry."""


AnyDocument: TypeAlias = (
    ClusterDocument | TopicDocument | TopicProfileDocument | TableDocument | ConnectorDocument
)

KINDS: dict[str, type[AnyDocument]] = {
    "Cluster": ClusterDocument,
    "Topic": TopicDocument,
    "TopicProfile": TopicProfileDocument,
    "Table": TableDocument,
    "Connector": ConnectorDocument,
}
"""Every kind of document by the word that stands behind ``kind:``."""
