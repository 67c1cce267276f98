"""One logical topic's part of a plan: its physical topics, then what clients are told of it.

wanted, served, owned ─placements, leavers─▶ physical changes ─▶ metadata change
                                └─ any refusal ─▶ no change of this topic at all

Guarantees: nothing is altered or deleted that is neither owned nor declared; nothing is deleted
that was not seen empty; nothing is planned on a cluster that is not ready; clients are never told
of a placement that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from penstock.control import changes, refusals
from penstock.control.observations import ObservedCluster, ObservedTopic
from penstock.model import clusters, topics

__all__ = ["TopicPlan", "plan_topic"]

_STARTS_PARTIAL = {topics.Routing.FAILOVER, topics.Routing.ROUNDROBIN}
"""Routings that keep their promise while a cluster is missing; ``na`` would write to the wrong
cluster, ``replicate`` to too few."""

_LEAVING = {clusters.ClusterState.DRAINING, clusters.ClusterState.RETIRED}


@dataclass(slots=True, kw_only=True)
class TopicPlan:
    """The plan of one topic while it is made.

    Attributes:
        wanted: as declared; None when it no longer is.
        served: as recorded; None when it is new.
        owned: the (cluster, physical topic) it owns.
        leaving: those of them that no topic declares any more.
        elsewhere: owners of the wanted physical topics, where that is another topic.
    """

    ident: str
    wanted: topics.Topic | None
    served: topics.Topic | None
    owned: AbstractSet[tuple[str, str]]
    leaving: AbstractSet[tuple[str, str]]
    elsewhere: Mapping[str, str]
    changes: list[changes.Change] = field(default_factory=list)
    refusals: list[refusals.Refusal] = field(default_factory=list)

    @property
    def wanted_placements(self) -> tuple[topics.Placement, ...]:
        """Return where the topic is declared to be."""
        return self.wanted.current.placements if self.wanted else ()

    def served_placement(self, cluster: str) -> topics.Placement | None:
        """Return the recorded placement on the cluster."""
        placements = self.served.current.placements if self.served else ()
        return next((p for p in placements if p.cluster == cluster), None)


def plan_topic(
    plan: TopicPlan,
    ready: Mapping[str, ObservedCluster],
    *,
    states: Mapping[str, clusters.ClusterState],
) -> None:
    """Fill in the topic's plan; empty its changes when anything is refused."""
    _refuse_promises(plan)
    standing = _plan_placements(plan, ready, states=states)
    staying = _plan_leavers(plan, ready, states=states)
    if plan.wanted:
        _plan_metadata(plan, plan.wanted, standing=standing)
    elif plan.served and not staying:
        plan.changes.append(changes.RetireTopic(old=plan.served))
    if plan.refusals:
        plan.changes.clear()


def _refuse_promises(plan: TopicPlan) -> None:
    if plan.wanted is None or plan.served is None or plan.wanted.ordering is topics.Ordering.NONE:
        return
    if plan.served.ordering is topics.Ordering.NONE:
        plan.refusals.append(refusals.ordering_gained(plan.wanted))
        return
    old, new = plan.served.current.placements, plan.wanted_placements
    if old and old[0].cluster != new[0].cluster:
        plan.refusals.append(
            refusals.keyed_move(plan.wanted, old=old[0].cluster, new=new[0].cluster)
        )


def _plan_placements(
    plan: TopicPlan,
    ready: Mapping[str, ObservedCluster],
    *,
    states: Mapping[str, clusters.ClusterState],
) -> list[topics.Placement]:
    """Plan every declared placement; return those that will be there, as clients may see them."""
    standing = []
    for placement in plan.wanted_placements:
        cluster = ready.get(placement.cluster)
        owned = (placement.cluster, placement.topic) in plan.owned
        if cluster is None:
            if owned:
                standing.append(plan.served_placement(placement.cluster) or placement)
            continue
        seen = cluster.topics.get(placement.topic)
        refusal = _refuse_placement(
            plan, placement, seen=seen, cluster=cluster, state=states[placement.cluster]
        )
        if refusal:
            plan.refusals.append(refusal)
            continue
        plan.changes += _converge(plan, placement, seen=seen, owned=owned)
        standing.append(placement)
    return standing


def _refuse_placement(
    plan: TopicPlan,
    placement: topics.Placement,
    *,
    seen: ObservedTopic | None,
    cluster: ObservedCluster,
    state: clusters.ClusterState,
) -> refusals.Refusal | None:
    if owner := plan.elsewhere.get(placement.cluster):
        return refusals.owned_by_other(plan.ident, placement, owner=owner)
    if state in _LEAVING and (placement.cluster, placement.topic) not in plan.owned:
        return refusals.no_new_placements(placement, state)
    if seen:
        return _refuse_alteration(plan, placement, seen)
    if placement.replication > cluster.brokers:
        return refusals.too_few_brokers(placement, brokers=cluster.brokers)
    return None


def _refuse_alteration(
    plan: TopicPlan, placement: topics.Placement, seen: ObservedTopic
) -> refusals.Refusal | None:
    if placement.replication != seen.replication:
        return refusals.other_replication(placement, seen)
    if placement.partitions < seen.partitions:
        return refusals.partition_decrease(placement, seen)
    keyed = plan.wanted is not None and plan.wanted.ordering is topics.Ordering.KEY
    if keyed and placement.partitions > seen.partitions:
        return refusals.keyed_increase(placement, seen)
    return None


def _converge(
    plan: TopicPlan, placement: topics.Placement, *, seen: ObservedTopic | None, owned: bool
) -> list[changes.Change]:
    if seen is None:
        return [changes.CreateTopic(ident=plan.ident, placement=placement)]
    steps: list[changes.Change] = []
    if not owned:
        steps.append(
            changes.AdoptTopic(ident=plan.ident, placement=_as_seen(placement.cluster, seen))
        )
    if placement.partitions > seen.partitions:
        steps.append(
            changes.IncreasePartitions(
                cluster=placement.cluster,
                topic=placement.topic,
                ident=plan.ident,
                old=seen.partitions,
                new=placement.partitions,
            )
        )
    return steps + _alter(plan, placement, seen)


def _alter(
    plan: TopicPlan, placement: topics.Placement, seen: ObservedTopic
) -> list[changes.Change]:
    """Set what is declared; unset only what Penstock set before. Other keys are somebody else's."""
    served = plan.served_placement(placement.cluster)
    dropped = sorted((served.config.keys() if served else set()) - placement.config.keys())
    unset = tuple(key for key in dropped if key in seen.config)
    wrong = {k: v for k, v in sorted(placement.config.items()) if seen.config.get(k) != v}
    if not wrong and not unset:
        return []
    return [
        changes.AlterConfig(
            cluster=placement.cluster,
            topic=placement.topic,
            ident=plan.ident,
            old={key: seen.config.get(key) for key in (*wrong, *unset)},
            set=wrong,
            unset=unset,
        )
    ]


def _plan_leavers(
    plan: TopicPlan,
    ready: Mapping[str, ObservedCluster],
    *,
    states: Mapping[str, clusters.ClusterState],
) -> bool:
    """Plan what is owned and no longer declared; tell whether something owned stays.

    Nothing is deleted while one of the clusters cannot be asked: a topic goes from all or none.
    """
    unasked = False
    for name, topic in sorted(plan.leaving):
        release = changes.ReleaseTopic(cluster=name, topic=topic, ident=plan.ident)
        cluster = ready.get(name)
        seen = cluster.topics.get(topic) if cluster else None
        if states.get(name) is clusters.ClusterState.RETIRED:
            plan.changes.append(release)
        elif cluster is None:
            unasked = True
        elif seen is None:
            plan.changes.append(release)
        else:
            _leave(plan, name, seen)
    if unasked:
        plan.changes = [c for c in plan.changes if not isinstance(c, changes.DeleteTopic)]
    return unasked or plan.owned != plan.leaving


def _leave(plan: TopicPlan, cluster: str, seen: ObservedTopic) -> None:
    if seen.has_records is False:
        plan.changes.append(
            changes.DeleteTopic(ident=plan.ident, placement=_as_seen(cluster, seen))
        )
        return
    plan.refusals.append(
        refusals.has_records(
            plan.ident, cluster=cluster, topic=seen.name, proven=seen.has_records is True
        )
    )


def _plan_metadata(
    plan: TopicPlan, wanted: topics.Topic, *, standing: list[topics.Placement]
) -> None:
    epoch = wanted.current
    partial = len(standing) < len(epoch.placements)
    if not standing or (partial and epoch.routing not in _STARTS_PARTIAL):
        return
    if plan.served is None:
        first = replace(epoch, placements=tuple(standing))
        plan.changes.append(changes.DeclareTopic(new=replace(wanted, epochs=(first,))))
        return
    now = plan.served.current
    current = replace(now, routing=epoch.routing, placements=tuple(standing))
    new = replace(
        wanted,
        epochs=tuple(current if e is now else e for e in plan.served.epochs),
        active_cluster=plan.served.active_cluster,
    )
    old = plan.served
    for change in plan.changes:
        if isinstance(change, changes.IncreasePartitions | changes.AlterConfig):
            old = changes.follow(old, change)
    if new != old:
        plan.changes.append(changes.UpdateTopic(old=old, new=new))


def _as_seen(cluster: str, seen: ObservedTopic) -> topics.Placement:
    return topics.Placement(
        cluster=cluster,
        topic=seen.name,
        partitions=seen.partitions,
        replication=seen.replication,
        config=dict(sorted(seen.config.items())),
    )
