"""Between the model's frozen values and the wire's protobuf messages, both ways.

    model.Topic ─encode_topic─▶ pb.Topic ─decode_topic─▶ the same model.Topic

Enum values have one spelling: the wire's ``ROUTING_FAILOVER`` is the model's ``failover``. A value
this version does not know (a newer control plane) decodes to an error that says so, never to a
default.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import RemoteError
from penstock.model import clusters, metadata, topics

__all__ = [
    "decode_cluster",
    "decode_delta",
    "decode_snapshot",
    "decode_topic",
    "encode_cluster",
    "encode_delta",
    "encode_snapshot",
    "encode_topic",
]

E = TypeVar("E", bound=StrEnum)


def encode_cluster(cluster: clusters.Cluster) -> pb.Cluster:
    """Return the cluster as its wire message."""
    return pb.Cluster(
        name=cluster.name,
        environment=cluster.environment,
        category=_encode_enum(pb.Category, "CATEGORY", cluster.category),
        region=cluster.region,
        state=_encode_enum(pb.ClusterState, "CLUSTER_STATE", cluster.state),
        listeners=[
            pb.Listener(auth_mode=_encode_enum(pb.AuthMode, "AUTH_MODE", mode), bootstrap=address)
            for mode, address in sorted(cluster.bootstrap.items())
        ],
        cluster_id=cluster.cluster_id,
        embedded=cluster.embedded,
    )


def decode_cluster(message: pb.Cluster) -> clusters.Cluster:
    """Return the cluster the message describes.

    Raises:
        RemoteError: for a category, state or auth mode this version does not know.
    """
    return clusters.Cluster(
        name=message.name,
        environment=message.environment,
        category=_decode_enum(pb.Category, "CATEGORY", message.category, clusters.Category),
        region=message.region,
        state=_decode_enum(pb.ClusterState, "CLUSTER_STATE", message.state, clusters.ClusterState),
        bootstrap={
            _decode_enum(
                pb.AuthMode, "AUTH_MODE", listener.auth_mode, clusters.AuthMode
            ): listener.bootstrap
            for listener in message.listeners
        },
        cluster_id=message.cluster_id,
        embedded=message.embedded,
    )


def encode_topic(topic: topics.Topic) -> pb.Topic:
    """Return the topic as its wire message."""
    return pb.Topic(
        name=topic.name,
        environment=topic.environment,
        owner=topic.owner,
        description=topic.description,
        ordering=_encode_enum(pb.Ordering, "ORDERING", topic.ordering),
        epochs=[_encode_epoch(epoch) for epoch in topic.epochs],
        active_cluster=topic.active_cluster,
    )


def decode_topic(message: pb.Topic) -> topics.Topic:
    """Return the topic the message describes.

    Raises:
        RemoteError: for a routing, ordering or epoch state this version does not know.
    """
    return topics.Topic(
        name=message.name,
        environment=message.environment,
        owner=message.owner,
        description=message.description,
        ordering=_decode_enum(pb.Ordering, "ORDERING", message.ordering, topics.Ordering),
        epochs=tuple(_decode_epoch(epoch) for epoch in message.epochs),
        active_cluster=message.active_cluster,
    )


def encode_snapshot(snapshot: metadata.Snapshot) -> pb.Snapshot:
    """Return the snapshot as its wire message."""
    return pb.Snapshot(
        version=snapshot.version,
        clusters=[encode_cluster(cluster) for cluster in snapshot.clusters.values()],
        topics=[encode_topic(topic) for topic in snapshot.topics.values()],
    )


def decode_snapshot(message: pb.Snapshot) -> metadata.Snapshot:
    """Return the snapshot the message describes."""
    return metadata.Snapshot(
        version=message.version,
        clusters={cluster.name: cluster for cluster in map(decode_cluster, message.clusters)},
        topics={topic.ident: topic for topic in map(decode_topic, message.topics)},
    )


def encode_delta(delta: metadata.Delta) -> pb.Delta:
    """Return the delta as its wire message."""
    return pb.Delta(
        version=delta.version,
        clusters=[encode_cluster(cluster) for cluster in delta.clusters],
        topics=[encode_topic(topic) for topic in delta.topics],
        removed_clusters=delta.removed_clusters,
        removed_topics=delta.removed_topics,
    )


def decode_delta(message: pb.Delta) -> metadata.Delta:
    """Return the delta the message describes."""
    return metadata.Delta(
        version=message.version,
        clusters=tuple(map(decode_cluster, message.clusters)),
        topics=tuple(map(decode_topic, message.topics)),
        removed_clusters=tuple(message.removed_clusters),
        removed_topics=tuple(message.removed_topics),
    )


def _encode_epoch(epoch: topics.Epoch) -> pb.Epoch:
    return pb.Epoch(
        number=epoch.number,
        state=_encode_enum(pb.EpochState, "EPOCH_STATE", epoch.state),
        routing=_encode_enum(pb.Routing, "ROUTING", epoch.routing),
        placements=[
            pb.Placement(
                cluster=placement.cluster,
                topic=placement.topic,
                partitions=placement.partitions,
                replication=placement.replication,
                config=dict(placement.config),
            )
            for placement in epoch.placements
        ],
        sealed={
            cluster: pb.SealedOffsets(end_offsets=offsets)
            for cluster, offsets in epoch.sealed.items()
        },
    )


def _decode_epoch(message: pb.Epoch) -> topics.Epoch:
    return topics.Epoch(
        number=message.number,
        state=_decode_enum(pb.EpochState, "EPOCH_STATE", message.state, topics.EpochState),
        routing=_decode_enum(pb.Routing, "ROUTING", message.routing, topics.Routing),
        placements=tuple(_decode_placements(message.placements)),
        sealed={name: tuple(sealed.end_offsets) for name, sealed in message.sealed.items()},
    )


def _decode_placements(messages: Iterable[pb.Placement]) -> Iterable[topics.Placement]:
    for message in messages:
        yield topics.Placement(
            cluster=message.cluster,
            topic=message.topic,
            partitions=message.partitions,
            replication=message.replication,
            config=dict(message.config),
        )


def _encode_enum(wrapper: Any, prefix: str, value: StrEnum) -> Any:
    # Any: the stubs type each enum wrapper as its own class.
    return wrapper.Value(f"{prefix}_{value.name}")


def _decode_enum(wrapper: Any, prefix: str, number: int, kind: type[E]) -> E:
    if number not in wrapper.values():
        raise _unknown(kind, str(number))
    name = wrapper.Name(number).removeprefix(f"{prefix}_")
    try:
        return kind[name]
    except KeyError as error:
        raise _unknown(kind, name) from error


def _unknown(kind: type[StrEnum], value: str) -> RemoteError:
    return RemoteError(
        f"the control plane sent {kind.__name__} {value!r}, which this version of Penstock does "
        "not know; upgrade the penstock package of this client"
    )
