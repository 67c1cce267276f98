"""Which clusters a record may go to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.estates import make_clusters, make_topic

from penstock.model.clusters import ClusterState
from penstock.model.topics import EpochState, Routing
from penstock.sdk.routing import decide

pytestmark = pytest.mark.unit

NAMES = ("a", "b", "c", "d")


@st.composite
def worlds(draw):
    """Return a topic, clusters in any state, and which of them work."""
    named = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    known = draw(st.sets(st.sampled_from(NAMES)))
    clusters = {
        name: replace(cluster, state=draw(st.sampled_from(ClusterState)))
        for name, cluster in make_clusters(dict.fromkeys(known, "host:1")).items()
    }
    topic = make_topic(
        "t",
        named,
        routing=draw(st.sampled_from(Routing)),
        active_cluster=draw(st.sampled_from(["", *NAMES])),
    )
    return topic, clusters, draw(st.sets(st.sampled_from(NAMES)))


@given(worlds())
def test_a_record_never_goes_to_a_cluster_the_epoch_does_not_name(world):
    topic, clusters, working = world
    route = decide(topic, clusters, works=working.__contains__)
    assert all(target in topic.current.placements for target in route.targets)


@given(worlds())
def test_a_record_never_goes_to_a_retired_or_unknown_cluster(world):
    topic, clusters, working = world
    route = decide(topic, clusters, works=working.__contains__)
    for target in route.targets:
        assert clusters[target.cluster].state is not ClusterState.RETIRED


@given(worlds())
def test_a_route_has_a_target_or_says_why_not(world):
    topic, clusters, working = world
    route = decide(topic, clusters, works=working.__contains__)
    assert bool(route.targets) != bool(route.reason)


@given(worlds())
def test_while_one_cluster_works_and_is_open_no_other_is_chosen(world):
    topic, clusters, working = world
    route = decide(topic, clusters, works=working.__contains__)
    best = {
        p.cluster
        for p in topic.current.placements
        if p.cluster in working and p.cluster in clusters and clusters[p.cluster].state.takes_writes
    }
    if best and route.routing is not Routing.NA:
        assert {p.cluster for p in route.targets} <= best


@given(worlds(), st.sampled_from([s for s in EpochState if s is not EpochState.OPEN]))
def test_an_epoch_that_is_not_open_takes_nothing(world, state):
    topic, clusters, working = world
    closed = replace(topic, epochs=(replace(topic.current, state=state),))
    route = decide(closed, clusters, works=working.__contains__)
    assert route.targets == ()
    assert str(state) in route.reason


@pytest.mark.parametrize(
    ("routing", "expected"),
    [
        (Routing.NA, ["a"]),
        (Routing.FAILOVER, ["a"]),
        (Routing.ROUNDROBIN, ["a", "b"]),
        (Routing.REPLICATE, ["a", "b"]),
    ],
)
def test_when_all_is_well(routing, expected):
    topic = make_topic("t", ["a", "b"], routing=routing)
    clusters = make_clusters({"a": "h:1", "b": "h:2"})
    route = decide(topic, clusters, works=lambda _: True)
    assert [p.cluster for p in route.targets] == expected


def test_the_operators_choice_goes_first_until_it_breaks():
    topic = make_topic("t", ["a", "b"], active_cluster="b")
    clusters = make_clusters({"a": "h:1", "b": "h:2"})
    chosen = decide(topic, clusters, works=lambda _: True)
    assert [p.cluster for p in chosen.targets] == ["b"]
    broken = decide(topic, clusters, works=lambda c: c == "a")
    assert [p.cluster for p in broken.targets] == ["a"]


def test_a_cordoned_cluster_is_better_than_one_that_does_not_work():
    topic = make_topic("t", ["a", "b"])
    clusters = make_clusters({"a": "h:1", "b": "h:2"})
    clusters["b"] = replace(clusters["b"], state=ClusterState.CORDONED)
    assert [p.cluster for p in decide(topic, clusters, works=lambda c: c == "b").targets] == ["b"]
