"""What no plan ever does, whatever the input; searched for by Hypothesis."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.estate.worlds import World, apply, declared_places, owned, worlds

from penstock.control import changes
from penstock.control.observations import Observed, ObservedTopic
from penstock.control.plan import Plan, deletion_candidates, make_plan

pytestmark = pytest.mark.unit

search = settings(max_examples=100)


def plan_of(world: World) -> Plan:
    return make_plan(world.declared, world.observed, world.recorded)


@search
@given(worlds(sound=True))
def test_the_plan_of_the_applied_is_empty(world: World) -> None:
    first = plan_of(world)
    second = plan_of(apply(first, world))
    assert second.changes == ()
    assert set(second.refusals) <= set(first.refusals)


@search
@given(worlds())
def test_nothing_that_may_hold_a_record_is_ever_deleted(world: World) -> None:
    for change in plan_of(world).changes:
        if isinstance(change, changes.DeleteTopic):
            seen = world.observed.clusters[change.cluster].topics[change.subject]
            assert seen.has_records is False


@search
@given(worlds())
def test_nothing_is_deleted_while_a_cluster_of_the_topic_cannot_be_asked(world: World) -> None:
    plan = plan_of(world)
    for change in plan.changes:
        if isinstance(change, changes.DeleteTopic):
            for (cluster, topic), ident in world.recorded.ownership.items():
                leaving = (cluster, topic) not in declared_places(world)
                released = any(
                    isinstance(c, changes.ReleaseTopic) and (c.cluster, c.topic) == (cluster, topic)
                    for c in plan.changes
                )
                if ident == change.ident and leaving and not released:
                    assert world.observed.clusters[cluster].reachable


@search
@given(worlds())
def test_only_what_is_owned_and_no_longer_declared_is_deleted(world: World) -> None:
    candidates = deletion_candidates(world.declared, world.recorded)
    for change in plan_of(world).changes:
        if isinstance(change, changes.DeleteTopic | changes.ReleaseTopic):
            place = (change.cluster, change.subject)
            assert place in owned(world)
            assert place in candidates


@search
@given(worlds())
def test_nothing_is_altered_that_is_neither_owned_nor_declared(world: World) -> None:
    plan = plan_of(world)
    adopted = {
        (change.cluster, change.subject)
        for change in plan.changes
        if isinstance(change, changes.AdoptTopic)
    }
    assert adopted <= declared_places(world) - owned(world)
    for change in plan.changes:
        if isinstance(change, changes.IncreasePartitions | changes.AlterConfig):
            assert (change.cluster, change.topic) in owned(world) | adopted


@search
@given(worlds())
def test_configuration_that_penstock_never_set_is_left_alone(world: World) -> None:
    for change in plan_of(world).changes:
        if not isinstance(change, changes.AlterConfig):
            continue
        topic = world.declared.topics[change.ident]
        wanted = next(p for p in topic.current.placements if p.cluster == change.cluster)
        served = world.recorded.topics.get(change.ident)
        set_before = {
            key
            for p in (served.current.placements if served else ())
            if p.cluster == change.cluster
            for key in p.config
        }
        assert change.set.keys() <= wanted.config.keys()
        assert set(change.unset) <= set_before - wanted.config.keys()


@search
@given(worlds())
def test_partitions_only_grow_and_never_under_a_key(world: World) -> None:
    for change in plan_of(world).changes:
        if isinstance(change, changes.IncreasePartitions):
            assert change.new > change.old
            assert world.declared.topics[change.ident].ordering == "none"


@search
@given(worlds())
def test_nothing_is_planned_on_a_cluster_that_is_away_or_another(world: World) -> None:
    for change in plan_of(world).changes:
        if not change.cluster or isinstance(change, changes.ReleaseTopic):
            continue
        seen = world.observed.clusters[change.cluster]
        assert seen.reachable
        for known in (world.declared.clusters, world.recorded.clusters):
            if change.cluster in known:
                assert known[change.cluster].cluster_id in {"", seen.cluster_id}


@search
@given(worlds())
def test_a_refused_topic_is_not_left_half_changed(world: World) -> None:
    plan = plan_of(world)
    places = {(r.cluster, r.subject) for r in plan.refusals}
    refused = {
        ident
        for ident, topic in world.declared.topics.items()
        for p in topic.current.placements
        if (p.cluster, p.topic) in places
    }
    for change in plan.changes:
        touched = getattr(change, "ident", change.subject)
        assert touched not in refused or isinstance(
            change, changes.DeclareTable | changes.UpdateTable | changes.RemoveTable
        )


@search
@given(worlds())
def test_clients_are_told_only_of_placements_that_are_there(world: World) -> None:
    plan = plan_of(world)
    there = owned(world) | {
        (change.cluster, change.subject)
        for change in plan.changes
        if isinstance(change, changes.CreateTopic | changes.AdoptTopic)
    }
    for change in plan.changes:
        if isinstance(change, changes.DeclareTopic | changes.UpdateTopic):
            assert change.new.current.placements
            assert {(p.cluster, p.topic) for p in change.new.current.placements} <= there


@given(worlds())
def test_every_change_survives_the_store(world: World) -> None:
    for change in plan_of(world).changes:
        record = json.loads(json.dumps(changes.to_record(change)))
        assert changes.from_record(record) == change
        json.dumps([change.before, change.after])
        assert change.summary()


@given(worlds())
def test_the_order_of_what_was_seen_does_not_matter(world: World) -> None:
    seen = world.observed.clusters
    backwards = Observed(
        clusters={
            name: replace(seen[name], topics=dict(reversed(seen[name].topics.items())))
            for name in reversed(seen)
        }
    )
    recorded = replace(world.recorded, ownership=dict(reversed(world.recorded.ownership.items())))
    assert make_plan(world.declared, backwards, recorded) == plan_of(world)


@given(worlds(), st.sampled_from(["a", "b", "c"]))
def test_somebody_elses_topic_does_not_move_the_digest(world: World, name: str) -> None:
    seen = world.observed.clusters.get(name)
    if seen is None:
        return
    other = ObservedTopic(name="somebody-elses", partitions=1, replication=1)
    beside = replace(seen, topics={**seen.topics, other.name: other})
    moved = Observed(clusters={**world.observed.clusters, name: beside})
    assert make_plan(world.declared, moved, world.recorded).digest == plan_of(world).digest


@search
@given(worlds(sound=True))
def test_what_a_plan_rests_on_moves_the_digest(world: World) -> None:
    plan = plan_of(world)
    for change in plan.changes:
        if isinstance(change, changes.CreateTopic):
            seen = world.observed.clusters[change.cluster]
            late = ObservedTopic(name=change.subject, partitions=1, replication=1)
            now = replace(seen, topics={**seen.topics, late.name: late})
        elif isinstance(change, changes.DeleteTopic):
            seen = world.observed.clusters[change.cluster]
            filled = replace(seen.topics[change.subject], has_records=True)
            now = replace(seen, topics={**seen.topics, filled.name: filled})
        elif isinstance(change, changes.AlterConfig | changes.IncreasePartitions):
            seen = world.observed.clusters[change.cluster]
            grown = replace(seen.topics[change.topic], partitions=9)
            now = replace(seen, topics={**seen.topics, grown.name: grown})
        else:
            continue
        moved = Observed(clusters={**world.observed.clusters, now.name: now})
        assert make_plan(world.declared, moved, world.recorded).digest != plan.digest
