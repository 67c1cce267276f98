"""Small worlds for the planner: made by Hypothesis, and moved on by the changes of a plan.

`apply` is what the control plane and its clusters do, without either: dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from hypothesis import strategies as st

from penstock.control import changes
from penstock.control.declare.estate import Estate
from penstock.control.observations import Observed, ObservedCluster, ObservedTopic, Recorded
from penstock.control.plan import Plan
from penstock.model import clusters, connectors, tables, topics

ENVIRONMENTS = {"a": "development", "b": "development", "c": "production"}
"""Clusters by name; their environments never change in a sound world."""
TOPICS = ("t1", "t2", "foreign")
KEYS = ("retention.ms", "segment.ms", "foreign.key")


@dataclass(frozen=True, kw_only=True)
class World:
    declared: Estate
    observed: Observed
    recorded: Recorded


def apply(plan: Plan, world: World) -> World:
    for change in plan.changes:
        world = _apply(change, world)
    return world


def owned(world: World) -> set[tuple[str, str]]:
    return set(world.recorded.ownership)


def declared_places(world: World) -> set[tuple[str, str]]:
    return {
        (placement.cluster, placement.topic)
        for topic in world.declared.topics.values()
        for placement in topic.current.placements
    }


def _apply(change: changes.Change, world: World) -> World:  # noqa: C901, PLR0911, PLR0912 - a case a kind
    recorded = world.recorded
    match change:
        case changes.RegisterCluster() | changes.UpdateCluster():
            known = {**recorded.clusters, change.new.name: change.new}
            return replace(world, recorded=replace(recorded, clusters=known))
        case changes.ForgetCluster():
            known = {k: v for k, v in recorded.clusters.items() if k != change.old.name}
            return replace(world, recorded=replace(recorded, clusters=known))
        case changes.DeclareTopic() | changes.UpdateTopic():
            return _serve(world, change.new)
        case changes.RetireTopic():
            served = {k: v for k, v in recorded.topics.items() if k != change.old.ident}
            return replace(world, recorded=replace(recorded, topics=served))
        case changes.DeclareTable() | changes.UpdateTable():
            fed = {**recorded.tables, change.new.ident: change.new}
            return replace(world, recorded=replace(recorded, tables=fed))
        case changes.RemoveTable():
            fed = {k: v for k, v in recorded.tables.items() if k != change.old.ident}
            return replace(world, recorded=replace(recorded, tables=fed))
        case changes.DeclareConnector() | changes.UpdateConnector():
            run = {**recorded.connectors, change.new.ident: change.new}
            return replace(world, recorded=replace(recorded, connectors=run))
        case changes.RemoveConnector():
            run = {k: v for k, v in recorded.connectors.items() if k != change.old.ident}
            return replace(world, recorded=replace(recorded, connectors=run))
        case changes.CreateTopic():
            assert change.subject not in world.observed.clusters[change.cluster].topics
            made = ObservedTopic(
                name=change.subject,
                partitions=change.placement.partitions,
                replication=change.placement.replication,
                config=change.placement.config,
                has_records=False,
            )
            return _own(_see(world, change.cluster, made), change.cluster, made.name, change.ident)
        case changes.AdoptTopic():
            return _own(world, change.cluster, change.subject, change.ident)
        case changes.IncreasePartitions():
            seen = world.observed.clusters[change.cluster].topics[change.topic]
            assert change.new > seen.partitions
            world = _see(world, change.cluster, replace(seen, partitions=change.new))
            return _follow(world, change)
        case changes.AlterConfig():
            seen = world.observed.clusters[change.cluster].topics[change.topic]
            config = {k: v for k, v in seen.config.items() if k not in change.unset}
            world = _see(world, change.cluster, replace(seen, config={**config, **change.set}))
            return _follow(world, change)
        case changes.DeleteTopic():
            return _own(_see(world, change.cluster, change.subject), change.cluster, change.subject)
        case changes.ReleaseTopic():
            return _own(world, change.cluster, change.subject)
        case _:
            assert_never(change)


def _serve(world: World, topic: topics.Topic) -> World:
    served = {**world.recorded.topics, topic.ident: topic}
    return replace(world, recorded=replace(world.recorded, topics=served))


def _follow(world: World, change: changes.IncreasePartitions | changes.AlterConfig) -> World:
    served = world.recorded.topics.get(change.ident)
    return _serve(world, changes.follow(served, change)) if served else world


def _own(world: World, cluster: str, topic: str, ident: str | None = None) -> World:
    ownership = {k: v for k, v in world.recorded.ownership.items() if k != (cluster, topic)}
    if ident:
        ownership[cluster, topic] = ident
    return replace(world, recorded=replace(world.recorded, ownership=ownership))


def _see(world: World, cluster: str, topic: ObservedTopic | str) -> World:
    """Return the world with the topic as it now is, or without the one of that name."""
    name = topic if isinstance(topic, str) else topic.name
    seen = world.observed.clusters[cluster]
    now = {k: v for k, v in seen.topics.items() if k != name}
    if not isinstance(topic, str):
        now[name] = topic
    every = {**world.observed.clusters, cluster: replace(seen, topics=now)}
    return replace(world, observed=Observed(clusters=every))


# Most worlds must be sound enough to be planned in, or nothing but refusals is ever seen.
mostly = st.sampled_from([True] * 7 + [False])
_states = st.sampled_from([clusters.ClusterState.ACTIVE] * 8 + list(clusters.ClusterState))
_partitions = st.sampled_from([2, 2, 2, 2, 1, 3])
_replication = st.sampled_from([1] * 8 + [2])
_configs = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["1", "2"]), max_size=2)
_orderings = st.sampled_from([*[topics.Ordering.NONE] * 4, topics.Ordering.KEY])
_routings = st.sampled_from(topics.Routing)


@st.composite
def _placements(draw: st.DrawFn, name: str, among: Iterable[str]) -> tuple[topics.Placement, ...]:
    chosen = draw(st.lists(st.sampled_from(sorted(among)), min_size=1, unique=True))
    return tuple(
        topics.Placement(
            cluster=cluster,
            topic=name,
            partitions=draw(_partitions),
            replication=draw(_replication),
            config=draw(_configs),
        )
        for cluster in chosen
    )


@st.composite
def _logical_topics(draw: st.DrawFn, among: Iterable[str]) -> dict[str, topics.Topic]:
    made = {}
    for environment in sorted({ENVIRONMENTS[name] for name in among}):
        homes = [name for name in among if ENVIRONMENTS[name] == environment]
        for name in [name for name in TOPICS[:2] if draw(st.booleans())]:
            ordering = draw(_orderings)
            # As every estate has it: with order by key no other routing is declared.
            keyed = ordering is topics.Ordering.KEY
            epoch = topics.Epoch(
                number=1,
                state=topics.EpochState.OPEN,
                routing=topics.Routing.NA if keyed else draw(_routings),
                placements=draw(_placements(name, homes)),
            )
            topic = topics.Topic(
                name=name,
                environment=environment,
                owner=draw(st.sampled_from(["o1", "o2"])),
                ordering=ordering,
                epochs=(epoch,),
            )
            made[topic.ident] = topic
    return made


@st.composite
def _clusters(draw: st.DrawFn) -> dict[str, clusters.Cluster]:
    chosen = [name for name in sorted(ENVIRONMENTS) if draw(mostly)]
    return {
        name: clusters.Cluster(
            name=name,
            environment=ENVIRONMENTS[name],
            state=draw(_states),
            cluster_id=draw(st.sampled_from([*["", f"id-{name}"] * 4, "id-a"])),
        )
        for name in chosen
    }


@st.composite
def _tables(draw: st.DrawFn) -> dict[str, tables.Table]:
    chosen = draw(st.lists(st.sampled_from(TOPICS), unique=True, max_size=2))
    made = [
        tables.Table(
            name=name,
            topic=name,
            environment="development",
            owner="o",
            path=name,
            latency_ms=draw(_partitions),
        )
        for name in chosen
    ]
    return {table.ident: table for table in made}


@st.composite
def _connectors(draw: st.DrawFn) -> dict[str, connectors.Connector]:
    chosen = draw(st.lists(st.sampled_from(["c1", "c2"]), unique=True))
    made = [
        connectors.Connector(
            name=name,
            environment="development",
            owner="o",
            cluster=draw(st.sampled_from(["a", "a", "a", "b"])),
            kind=connectors.Kind.POSTGRES,
            tasks=draw(_partitions),
            config={"slot.name": draw(st.sampled_from(["s", "s", "s", "t"]))},
        )
        for name in chosen
    ]
    return {connector.ident: connector for connector in made}


@st.composite
def _observed_clusters(draw: st.DrawFn, name: str) -> ObservedCluster:
    found = [
        ObservedTopic(
            name=topic,
            partitions=draw(_partitions),
            replication=draw(_replication),
            config=draw(_configs),
            has_records=draw(st.sampled_from([False, False, None, True])),
        )
        for topic in TOPICS
        if draw(mostly)
    ]
    return ObservedCluster(
        name=name,
        reachable=draw(st.sampled_from([True, True, True, False])),
        cluster_id=draw(st.sampled_from([*[f"id-{name}"] * 5, "id-a", "id-x"])),
        brokers=draw(st.sampled_from([3, 3, 3, 1])),
        topics={topic.name: topic for topic in found},
    )


@st.composite
def _earlier(draw: st.DrawFn, topic: topics.Topic) -> topics.Topic:
    """Make the topic as it may have been recorded before its file was edited."""
    epoch = topic.current
    placements = tuple(
        replace(p, partitions=draw(_partitions), config=draw(_configs)) for p in epoch.placements
    )
    return replace(topic, epochs=(replace(epoch, placements=placements),))


@st.composite
def _recorded(draw: st.DrawFn, wanted: dict[str, topics.Topic], *, sound: bool) -> Recorded:
    """Make a record of some declared topics, as they were before, and of some that are gone."""
    served = draw(_logical_topics(sorted(ENVIRONMENTS)))
    served |= {ident: draw(_earlier(topic)) for ident, topic in wanted.items() if draw(mostly)}
    idents = st.sampled_from(["development/t1", "production/t1", "development/t2"])
    places = {(p.cluster, p.topic) for t in served.values() for p in t.current.placements}
    others = st.tuples(st.sampled_from(sorted(ENVIRONMENTS)), st.sampled_from(TOPICS))
    owned_places = {place for place in sorted(places) if draw(mostly)}
    owned_places |= draw(st.sets(others, max_size=2))
    return Recorded(
        ownership={
            place: f"{ENVIRONMENTS[place[0]]}/{place[1]}" if sound or draw(mostly) else draw(idents)
            for place in sorted(owned_places)
        },
        clusters=draw(_clusters()),
        topics=served,
        tables=draw(_tables()),
        connectors=draw(_connectors()),
    )


@st.composite
def worlds(draw: st.DrawFn, *, sound: bool = False) -> World:
    """Make a world; a sound one has no topic owned by a name of another environment."""
    declared = draw(_clusters())
    wanted = draw(_logical_topics(sorted(declared)))
    return World(
        declared=Estate(
            clusters=declared, topics=wanted, tables=draw(_tables()), connectors=draw(_connectors())
        ),
        observed=Observed(clusters={name: draw(_observed_clusters(name)) for name in ENVIRONMENTS}),
        recorded=draw(_recorded(wanted, sound=sound)),
    )
