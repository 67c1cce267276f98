"""Decide which clusters a record may go to, in order of preference.

    topic's current epoch + cluster states + working clusters ─decide─▶ Route

A pure decision: no clock, no client. Never names a cluster that the epoch does not name, nor a
retired one. A cordoned cluster is named only after every cluster that takes writes and works:
an operator's cordon moves traffic, it does not stop it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock.model.clusters import Cluster, ClusterState
from penstock.model.topics import EpochState, Placement, Routing, Topic

__all__ = ["Route", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where records go.

    Attributes:
        routing: the epoch's.
        targets: placements that take records now: one under ``na`` and ``failover``, each in turn
            under ``roundrobin``, all under ``replicate``. Never empty unless `reason` says why.
        broken: names of placements' clusters that do not work now.
        reason: why there is no target.
    """

    routing: Routing
    targets: tuple[Placement, ...]
    broken: tuple[str, ...] = ()
    reason: str = ""


def decide(topic: Topic, clusters: Mapping[str, Cluster], *, works: Callable[[str], bool]) -> Route:
    """Return the route for the topic's records.

    Args:
        topic: with at least one epoch.
        clusters: by name, as the metadata has them.
        works: whether a cluster's breaker lets records through.
    """
    epoch = topic.current
    if epoch.state is not EpochState.OPEN:
        return Route(
            routing=epoch.routing,
            targets=(),
            reason=f"epoch {epoch.number} of the topic is {epoch.state}; it takes no writes",
        )
    usable = [p for p in epoch.placements if _usable(clusters.get(p.cluster))]
    broken = tuple(p.cluster for p in usable if not works(p.cluster))
    if not usable:
        reason = "every cluster of the topic is retired"
        return Route(routing=epoch.routing, targets=(), reason=reason)
    if epoch.routing is Routing.FAILOVER:
        # Stable: the operator's choice first, then the declared order.
        usable.sort(key=lambda p: p.cluster != topic.active_cluster)
    if epoch.routing is Routing.NA:
        # The first cluster, always: a retired first one leaves no target, not another target.
        first = epoch.placements[0]
        targets = tuple(p for p in usable if p == first)
        reason = "" if targets else f"its only cluster under `na`, {first.cluster!r}, is retired"
        return Route(routing=epoch.routing, targets=targets, broken=broken, reason=reason)
    targets = tuple(_best(usable, clusters, broken))
    if epoch.routing is Routing.FAILOVER:
        targets = targets[:1]
    return Route(routing=epoch.routing, targets=targets, broken=broken)


def _best(
    usable: list[Placement], clusters: Mapping[str, Cluster], broken: tuple[str, ...]
) -> list[Placement]:
    """Return the placements of the best rank that has any: works and open before works, before all."""
    working = [p for p in usable if p.cluster not in broken]
    open_ = [p for p in working if clusters[p.cluster].state.takes_writes]
    return open_ or working or usable


def _usable(cluster: Cluster | None) -> bool:
    return cluster is not None and cluster.state is not ClusterState.RETIRED
