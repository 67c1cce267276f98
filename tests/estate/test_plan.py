"""What is planned and what is refused, a case each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from penstock.control import changes
from penstock.control.declare.estate import Estate
from penstock.control.observations import Observed, ObservedCluster, ObservedTopic, Recorded
from penstock.control.plan import Plan, make_plan
from penstock.errors import DataError
from penstock.model import clusters, tables, topics

pytestmark = pytest.mark.unit

ORDERS = "development/orders"


def cluster(name: str, **fields: object) -> clusters.Cluster:
    return replace(
        clusters.Cluster(name=name, environment="development", cluster_id=f"id-{name}"),
        **fields,
    )


def seen(name: str, *found: ObservedTopic, **fields: object) -> ObservedCluster:
    known = ObservedCluster(
        name=name,
        reachable=True,
        cluster_id=f"id-{name}",
        brokers=3,
        topics={topic.name: topic for topic in found},
    )
    return replace(known, **fields)


def found(**fields: object) -> ObservedTopic:
    return replace(ObservedTopic(name="orders", partitions=3, replication=1), **fields)


def topic(
    *homes: str,
    routing: topics.Routing = topics.Routing.FAILOVER,
    partitions: int = 3,
    replication: int = 1,
    config: Mapping[str, str] | None = None,
    **fields: object,
) -> topics.Topic:
    epoch = topics.Epoch(
        number=1,
        state=topics.EpochState.OPEN,
        routing=routing,
        placements=tuple(
            topics.Placement(
                cluster=home,
                topic="orders",
                partitions=partitions,
                replication=replication,
                config=config or {},
            )
            for home in homes
        ),
    )
    made = topics.Topic(name="orders", environment="development", owner="shop", epochs=(epoch,))
    return replace(made, **fields)


def plan(
    wanted: topics.Topic | None,
    *observed: ObservedCluster,
    served: topics.Topic | None = None,
    owned_on: tuple[str, ...] = (),
    states: Mapping[str, clusters.ClusterState] | None = None,
) -> Plan:
    """Plan one topic on clusters a and b, both recorded."""
    known = {
        name: cluster(name, state=(states or {}).get(name, clusters.ClusterState.ACTIVE))
        for name in ("a", "b")
    }
    return make_plan(
        Estate(clusters=known, topics={wanted.ident: wanted} if wanted else {}),
        Observed(clusters={one.name: one for one in observed}),
        Recorded(
            clusters=known,
            topics={served.ident: served} if served else {},
            ownership=dict.fromkeys(((home, "orders") for home in owned_on), ORDERS),
        ),
    )


def kinds(made: Plan) -> list[tuple[str, str]]:
    return [(change.kind, change.cluster or change.subject) for change in made.changes]


def test_a_new_topic_is_created_everywhere_before_clients_hear_of_it() -> None:
    made = plan(topic("a", "b"), seen("a"), seen("b"))
    assert kinds(made) == [("create-topic", "a"), ("create-topic", "b"), ("declare-topic", ORDERS)]


def test_raising_partitions_is_one_change_a_cluster_and_nothing_else() -> None:
    old = topic("a", "b")
    made = plan(
        topic("a", "b", partitions=6),
        seen("a", found()),
        seen("b", found()),
        served=old,
        owned_on=("a", "b"),
    )
    assert kinds(made) == [("increase-partitions", "a"), ("increase-partitions", "b")]
    followed = old
    for change in made.changes:
        assert isinstance(change, changes.IncreasePartitions)
        followed = changes.follow(followed, change)
    assert followed == topic("a", "b", partitions=6)


def test_a_topic_that_is_there_and_declared_is_adopted() -> None:
    made = plan(topic("a"), seen("a", found(config={"retention.ms": "1"})), seen("b"))
    assert kinds(made) == [("adopt-topic", "a"), ("declare-topic", ORDERS)]


def test_an_adopted_topic_is_brought_to_what_is_declared() -> None:
    wanted = topic("a", partitions=4, config={"retention.ms": "2"})
    made = plan(wanted, seen("a", found()), seen("b"))
    assert kinds(made) == [
        ("adopt-topic", "a"),
        ("increase-partitions", "a"),
        ("alter-config", "a"),
        ("declare-topic", ORDERS),
    ]


def test_only_configuration_penstock_set_is_unset() -> None:
    made = plan(
        topic("a", config={"retention.ms": "2"}),
        seen("a", found(config={"retention.ms": "1", "segment.ms": "5", "theirs": "9"})),
        seen("b"),
        served=topic("a", config={"retention.ms": "1", "segment.ms": "5"}),
        owned_on=("a",),
    )
    [change] = made.changes
    assert isinstance(change, changes.AlterConfig)
    assert change.before == {"retention.ms": "1", "segment.ms": "5"}
    assert change.after == {"retention.ms": "2", "segment.ms": None}


def test_drift_of_declared_configuration_is_one_change() -> None:
    same = topic("a", config={"retention.ms": "1"})
    made = plan(same, seen("a", found()), seen("b"), served=same, owned_on=("a",))
    assert kinds(made) == [("alter-config", "a")]


def test_owner_and_order_of_clusters_are_metadata_only() -> None:
    made = plan(
        topic("b", "a", owner="billing"),
        seen("a", found()),
        seen("b", found()),
        served=topic("a", "b"),
        owned_on=("a", "b"),
    )
    [change] = made.changes
    assert isinstance(change, changes.UpdateTopic)
    assert change.before["owner"] == "shop"
    assert set(change.after) == {"owner", "epochs"}


def test_an_operators_active_cluster_survives_a_plan() -> None:
    served = topic("a", "b", active_cluster="b")
    both = (seen("a", found()), seen("b", found()))
    assert plan(topic("a", "b"), *both, served=served, owned_on=("a", "b")).changes == ()
    [change] = plan(topic("a", "b", owner="x"), *both, served=served, owned_on=("a", "b")).changes
    assert isinstance(change, changes.UpdateTopic)
    assert change.new.active_cluster == "b"


def test_an_empty_topic_that_is_no_longer_declared_goes() -> None:
    made = plan(
        None, seen("a", found(has_records=False)), seen("b"), served=topic("a"), owned_on=("a",)
    )
    assert kinds(made) == [("delete-topic", "a"), ("retire-topic", ORDERS)]


@pytest.mark.parametrize("has_records", [True, None])
def test_a_topic_that_may_hold_records_is_never_deleted(has_records: bool | None) -> None:
    made = plan(
        None,
        seen("a", found(has_records=has_records)),
        seen("b", found(has_records=False)),
        served=topic("a", "b"),
        owned_on=("a", "b"),
    )
    assert made.changes == ()
    [refusal] = made.refusals
    assert (refusal.cluster, refusal.subject) == ("a", "orders")
    assert "penstock topic empty orders" in refusal.next_step


def test_a_topic_is_deleted_on_no_cluster_while_one_cannot_be_asked() -> None:
    made = plan(
        None,
        seen("a", found(has_records=False)),
        seen("b", reachable=False),
        served=topic("a", "b"),
        owned_on=("a", "b"),
    )
    assert made.changes == ()
    assert made.unreachable == ("b",)


def test_clients_hear_that_a_topic_left_a_cluster_before_it_is_deleted_there() -> None:
    made = plan(
        topic("a"),
        seen("a", found()),
        seen("b", found(has_records=False)),
        served=topic("a", "b"),
        owned_on=("a", "b"),
    )
    assert kinds(made) == [("update-topic", ORDERS), ("delete-topic", "b")]


def test_a_topic_that_is_gone_already_is_released() -> None:
    made = plan(None, seen("a"), seen("b"), served=topic("a"), owned_on=("a",))
    assert kinds(made) == [("release-topic", "a"), ("retire-topic", ORDERS)]


def test_a_retired_clusters_topics_are_released_though_it_is_gone() -> None:
    made = plan(
        topic("a"),
        seen("a", found()),
        served=topic("a", "b"),
        owned_on=("a", "b"),
        states={"b": clusters.ClusterState.RETIRED},
    )
    assert kinds(made) == [("update-topic", ORDERS), ("release-topic", "b")]
    assert made.unreachable == ("b",)


def test_one_cluster_down_does_not_stop_the_others() -> None:
    made = plan(topic("a", "b"), seen("a"), seen("b", reachable=False))
    assert kinds(made) == [("create-topic", "a"), ("declare-topic", ORDERS)]
    declared = made.changes[-1]
    assert isinstance(declared, changes.DeclareTopic)
    assert [p.cluster for p in declared.new.current.placements] == ["a"]
    assert made.unreachable == ("b",)


@pytest.mark.parametrize("routing", [topics.Routing.NA, topics.Routing.REPLICATE])
def test_a_routing_that_needs_every_cluster_waits_for_it(routing: topics.Routing) -> None:
    made = plan(topic("b", "a", routing=routing), seen("a"), seen("b", reachable=False))
    assert kinds(made) == [("create-topic", "a")]


def test_a_topic_on_a_cluster_that_is_down_keeps_its_placement() -> None:
    same = topic("a", "b")
    made = plan(
        topic("a", "b", owner="billing"),
        seen("a", found()),
        seen("b", reachable=False),
        served=same,
        owned_on=("a", "b"),
    )
    [change] = made.changes
    assert isinstance(change, changes.UpdateTopic)
    assert change.new.current.placements == same.current.placements


KEY = topics.Ordering.KEY
NA = topics.Routing.NA


@pytest.mark.parametrize(
    ("wanted", "there", "served", "reason"),
    [
        (topic("a", partitions=2), found(), topic("a"), "cannot take partitions away"),
        (topic("a", replication=2), found(), topic("a"), "does not move replicas"),
        (
            topic("a", partitions=4, ordering=KEY, routing=NA),
            found(),
            topic("a", ordering=KEY, routing=NA),
            "beside its older ones",
        ),
        (
            topic("a", ordering=KEY, routing=NA),
            found(),
            topic("a"),
            "not kept in order by key",
        ),
        (
            topic("a", "b", ordering=KEY, routing=NA),
            found(),
            topic("b", "a", ordering=KEY, routing=NA),
            "first cluster cannot change in place from b to a",
        ),
    ],
)
def test_what_would_break_readers_is_refused(
    wanted: topics.Topic, there: ObservedTopic, served: topics.Topic, reason: str
) -> None:
    made = plan(wanted, seen("a", there), seen("b", there), served=served, owned_on=("a", "b"))
    assert made.changes == ()
    assert reason in made.refusals[0].reason
    assert made.refusals[0].next_step


def test_more_replicas_than_brokers_are_refused() -> None:
    made = plan(topic("a", "b", replication=3), seen("a", brokers=1), seen("b"))
    assert made.changes == ()
    assert "more than its 1 brokers" in made.refusals[0].reason


@pytest.mark.parametrize("state", [clusters.ClusterState.DRAINING, clusters.ClusterState.RETIRED])
def test_a_cluster_on_its_way_out_takes_no_new_topic(state: clusters.ClusterState) -> None:
    made = plan(topic("a", "b"), seen("a"), seen("b"), states={"b": state})
    assert made.changes == ()
    assert f"is {state} and takes no new topics" in made.refusals[0].reason


def test_another_cluster_in_its_place_is_refused_and_not_touched() -> None:
    made = plan(topic("a", "b"), seen("a"), seen("b", cluster_id="stranger"))
    assert kinds(made) == [("create-topic", "a"), ("declare-topic", ORDERS)]
    [refusal] = made.refusals
    assert refusal.reason == "cluster b is stranger, but id-b is recorded: it is another cluster"


def test_one_cluster_under_two_names_is_refused() -> None:
    made = make_plan(
        Estate(clusters={n: cluster(n, cluster_id="") for n in ("a", "b")}),
        Observed(clusters={n: seen(n, cluster_id="one") for n in ("a", "b")}),
        Recorded(),
    )
    assert made.changes == ()
    assert [r.subject for r in made.refusals] == ["a", "b"]


def test_a_cluster_is_registered_with_the_id_it_answered_with() -> None:
    made = make_plan(
        Estate(clusters={"a": cluster("a", cluster_id="")}),
        Observed(clusters={"a": seen("a")}),
        Recorded(),
    )
    [change] = made.changes
    assert isinstance(change, changes.RegisterCluster)
    assert change.new.cluster_id == "id-a"


def test_a_cluster_never_changes_its_environment() -> None:
    made = make_plan(
        Estate(clusters={"a": cluster("a", environment="production")}),
        Observed(clusters={"a": seen("a")}),
        Recorded(clusters={"a": cluster("a")}),
    )
    assert made.changes == ()
    assert "recorded in environment development" in made.refusals[0].reason


def test_a_cluster_with_topics_is_not_forgotten() -> None:
    known = Recorded(clusters={"a": cluster("a")}, ownership={("a", "orders"): ORDERS})
    refused = make_plan(Estate(), Observed(), known)
    assert refused.changes == ()
    assert "owns 1 topics there" in refused.refusals[0].reason
    assert refused.unreachable == ("a",)
    emptied = Observed(clusters={"a": seen("a", found(has_records=False))})
    assert kinds(make_plan(Estate(), emptied, known)) == [
        ("delete-topic", "a"),
        ("forget-cluster", "a"),
    ]


def test_tables_come_change_and_go() -> None:
    old = tables.Table(name="t", topic="t", environment="e", owner="o", path="t")
    new = replace(old, latency_ms=5)
    recorded = Recorded(tables={old.ident: old})
    estate = Estate(tables={new.ident: new})
    assert kinds(make_plan(estate, Observed(), Recorded())) == [("declare-table", "e/t")]
    assert kinds(make_plan(estate, Observed(), recorded)) == [("update-table", "e/t")]
    assert kinds(make_plan(Estate(), Observed(), recorded)) == [("remove-table", "e/t")]


def test_a_change_of_another_version_is_not_guessed_at() -> None:
    with pytest.raises(DataError, match="upgrade"):
        changes.from_record({"kind": "paint-topic"})
    with pytest.raises(DataError, match="plan again"):
        changes.from_record({"kind": "create-topic", "ident": "e/t"})
