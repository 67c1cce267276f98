"""What operators switched by hand, kept beside the declared estate, and what clients are told.

    recorded + cordons + active clusters ─▶ metadata.Snapshot

No plan sees or undoes a switch; only the opposite switch does, or forgetting its subject.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, delete, select

from penstock.control.store import estates, versions
from penstock.control.store.database import put
from penstock.control.store.schema import active_clusters, cordons
from penstock.model.clusters import ClusterState
from penstock.model.metadata import Snapshot
from penstock.model.topics import Routing, Topic

__all__ = [
    "activate",
    "cluster_state",
    "cordon",
    "drop_stale",
    "fail_back",
    "snapshot",
    "topic",
    "uncordon",
]


def cluster_state(tx: Connection, name: str) -> ClusterState | None:
    """Return a cluster's state as clients are told it; None where there is no such cluster."""
    recorded = estates.cluster(tx, name)
    if recorded is None or recorded.state is not ClusterState.ACTIVE:
        return recorded.state if recorded else None
    cordoned = tx.execute(select(cordons).where(cordons.c.cluster == name)).one_or_none()
    return ClusterState.CORDONED if cordoned else ClusterState.ACTIVE


def topic(tx: Connection, ident: str) -> Topic | None:
    """Return one topic as clients are told it, or None."""
    recorded = estates.topic(tx, ident)
    if recorded is None:
        return None
    rows = active_clusters
    active = tx.execute(select(rows.c.cluster).where(rows.c.topic == ident)).scalar()
    return replace(recorded, active_cluster=active or "")


def snapshot(tx: Connection) -> Snapshot:
    """Return the metadata as clients are told it."""
    recorded = estates.recorded(tx)
    cordoned = set(tx.execute(select(cordons.c.cluster)).scalars())
    active = {row.topic: row.cluster for row in tx.execute(select(active_clusters))}
    # Only what is switched is made anew: the rest are the very values of the last snapshot.
    clusters = dict(recorded.clusters)
    for name in cordoned & clusters.keys():
        if clusters[name].state is ClusterState.ACTIVE:
            clusters[name] = replace(clusters[name], state=ClusterState.CORDONED)
    topics = dict(recorded.topics)
    for ident in active.keys() & topics.keys():
        topics[ident] = replace(topics[ident], active_cluster=active[ident])
    return Snapshot(version=versions.current(tx), clusters=clusters, topics=topics)


def cordon(tx: Connection, cluster: str, *, reason: str) -> None:
    """Record that producers leave the cluster."""
    put(tx, cordons, cluster=cluster, reason=reason)
    versions.advance(tx)


def uncordon(tx: Connection, cluster: str) -> None:
    """Record that producers may choose the cluster again."""
    tx.execute(delete(cordons).where(cordons.c.cluster == cluster))
    versions.advance(tx)


def activate(tx: Connection, topic: str, *, cluster: str, reason: str) -> None:
    """Record the cluster that the topic's producers go to first."""
    put(tx, active_clusters, topic=topic, cluster=cluster, reason=reason)
    versions.advance(tx)


def fail_back(tx: Connection, topic: str) -> None:
    """Record that the topic's producers go by the declared order again."""
    tx.execute(delete(active_clusters).where(active_clusters.c.topic == topic))
    versions.advance(tx)


def drop_stale(tx: Connection, topic: Topic) -> None:
    """Forget an active cluster that the topic, as now declared, cannot have."""
    epoch = topic.current
    names = [p.cluster for p in epoch.placements] if epoch.routing is Routing.FAILOVER else []
    rows = active_clusters
    tx.execute(delete(rows).where(rows.c.topic == topic.ident, rows.c.cluster.not_in(names)))
