"""Topics and clusters for the SDK's tests, as values and on real brokers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from penstock.model import clusters, metadata, topics

ENVIRONMENT = "development"


def make_topic(
    name: str,
    names: Sequence[str],
    *,
    routing: topics.Routing = topics.Routing.FAILOVER,
    partitions: int = 3,
    config: Mapping[str, str] | None = None,
    **more: Any,
) -> topics.Topic:
    """Return a topic with one open epoch on the named clusters."""
    placements = tuple(
        topics.Placement(cluster=c, topic=name, partitions=partitions, config=config or {})
        for c in names
    )
    epoch = topics.Epoch(
        number=1, state=topics.EpochState.OPEN, routing=routing, placements=placements
    )
    return topics.Topic(name=name, environment=ENVIRONMENT, owner="tests", epochs=(epoch,), **more)


def make_clusters(bootstraps: Mapping[str, str]) -> dict[str, clusters.Cluster]:
    """Return plaintext clusters."""
    return {
        name: clusters.Cluster(
            name=name,
            environment=ENVIRONMENT,
            bootstrap={clusters.AuthMode.PLAINTEXT: address},
        )
        for name, address in bootstraps.items()
    }


def make_snapshot(
    bootstraps: Mapping[str, str], declared: Iterable[topics.Topic], *, version: int = 1
) -> metadata.Snapshot:
    """Return a snapshot of the topics on the clusters."""
    return metadata.Snapshot(
        version=version,
        clusters=make_clusters(bootstraps),
        topics={topic.ident: topic for topic in declared},
    )


def with_state(
    snapshot: metadata.Snapshot, cluster: str, state: clusters.ClusterState
) -> metadata.Snapshot:
    """Return the next version, in which the cluster has this state."""
    changed = {**snapshot.clusters, cluster: replace(snapshot.clusters[cluster], state=state)}
    return replace(snapshot, version=snapshot.version + 1, clusters=changed)


def create(bootstrap: str, *new: NewTopic) -> None:
    """Create topics on a cluster and wait until they are there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(list(new)).values():
        future.result(30)
