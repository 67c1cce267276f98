"""The clusters' part of a plan: which to record, and on which anything may be planned at all.

declared, observed, recorded ─▶ changes, refusals, and the clusters that are ``ready``

A cluster is ready when it answered, and is the one that is meant. On any other nothing is planned;
the others go on. Never does a plan change a cluster's environment or take over its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.control import changes, refusals
from penstock.control.declare.estate import Estate
from penstock.control.observations import Observed, ObservedCluster, Recorded
from penstock.model import clusters

__all__ = ["ClustersPlan", "plan_clusters", "plan_forgetting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClustersPlan:
    """What is planned for clusters, and where topics may be planned.

    Attributes:
        ready: clusters to plan on, by name.
        states: of every declared or recorded cluster, by name, as declared.
        unreachable: clusters that matter and did not answer.
    """

    changes: tuple[changes.Change, ...]
    refusals: tuple[refusals.Refusal, ...]
    ready: Mapping[str, ObservedCluster]
    states: Mapping[str, clusters.ClusterState]
    unreachable: tuple[str, ...]


def plan_clusters(declared: Estate, observed: Observed, recorded: Recorded) -> ClustersPlan:
    """Decide which clusters are recorded anew, and which may be planned on."""
    known = {**recorded.clusters, **declared.clusters}
    answered = {
        name: observed.clusters[name]
        for name in known
        if name in observed.clusters and observed.clusters[name].reachable
    }
    in_use = declared.clusters.keys() | {cluster for cluster, _ in recorded.ownership}
    refused = _refuse({n: c for n, c in known.items() if n in in_use}, answered, recorded)
    planned = [
        change
        for name, cluster in declared.clusters.items()
        if name not in refused
        for change in _record(cluster, answered.get(name), recorded.clusters.get(name))
    ]
    return ClustersPlan(
        changes=tuple(planned),
        refusals=tuple(refused.values()),
        ready={name: seen for name, seen in answered.items() if name not in refused},
        states={name: cluster.state for name, cluster in known.items()},
        unreachable=tuple(sorted((known.keys() & in_use) - answered.keys())),
    )


def plan_forgetting(
    declared: Estate, recorded: Recorded, *, remaining: Mapping[str, int]
) -> tuple[list[changes.Change], list[refusals.Refusal]]:
    """Forget recorded clusters that are no longer declared.

    Args:
        declared: the estate to reach.
        recorded: what earlier applies left in the store.
        remaining: how many topics Penstock still owns on each cluster once the plan is done.
    """
    gone = [c for name, c in recorded.clusters.items() if name not in declared.clusters]
    return (
        [changes.ForgetCluster(old=c) for c in gone if not remaining.get(c.name)],
        [
            refusals.cluster_in_use(c.name, owned=remaining[c.name])
            for c in gone
            if remaining.get(c.name)
        ],
    )


def _refuse(
    known: Mapping[str, clusters.Cluster],
    answered: Mapping[str, ObservedCluster],
    recorded: Recorded,
) -> dict[str, refusals.Refusal]:
    names_by_id: dict[str, list[str]] = defaultdict(list)
    for name in sorted(known.keys() & answered.keys()):
        names_by_id[answered[name].cluster_id].append(name)
    refused = {}
    for name, cluster in known.items():
        answer = answered.get(name)
        refusal = _other_than_meant(cluster, recorded.clusters.get(name), answer)
        others = [n for n in names_by_id[answer.cluster_id] if n != name] if answer else []
        if answer and others and not refusal:
            refusal = refusals.same_cluster(name, others=others, cluster_id=answer.cluster_id)
        if refusal:
            refused[name] = refusal
    return refused


def _other_than_meant(
    cluster: clusters.Cluster, old: clusters.Cluster | None, seen: ObservedCluster | None
) -> refusals.Refusal | None:
    if old and old.environment != cluster.environment:
        return refusals.other_environment(old, cluster)
    pinned = old.cluster_id if old else ""
    if pinned and cluster.cluster_id not in {"", pinned}:
        return refusals.other_id(
            cluster.name, expected=pinned, found=f"declared as {cluster.cluster_id}", declared=False
        )
    expected = cluster.cluster_id or pinned
    if seen and expected and seen.cluster_id != expected:
        return refusals.other_id(
            cluster.name, expected=expected, found=seen.cluster_id, declared=not pinned
        )
    return None


def _record(
    cluster: clusters.Cluster, seen: ObservedCluster | None, old: clusters.Cluster | None
) -> list[changes.Change]:
    pinned = cluster.cluster_id or (old.cluster_id if old else "")
    new = replace(cluster, cluster_id=pinned or (seen.cluster_id if seen else ""))
    if old is None:
        return [changes.RegisterCluster(new=new)]
    return [changes.UpdateCluster(old=old, new=new)] if new != old else []
