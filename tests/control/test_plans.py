"""Plan, apply, refuse, adopt, drift: a real control plane on real clusters."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.control.estates import (
    apply_all,
    cluster_document,
    estate,
    kinds,
    produce,
    topic_document,
)

from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient
from penstock.errors import ConfigError, Conflict, Refused
from penstock.kafka import contents
from penstock.kafka.admin import Admin

pytestmark = pytest.mark.real


@pytest.fixture
def admins(federation) -> dict[str, Admin]:
    return {name: Admin(name, address) for name, address in federation.bootstraps.items()}


def test_the_plan_of_what_was_applied_is_empty(client: ControlClient, topic_name: str) -> None:
    files = estate(topic_document(topic_name))
    plan = client.plan(files)
    assert kinds(plan) == [
        "register-cluster",
        "register-cluster",
        "create-topic",
        "create-topic",
        "declare-topic",
    ]
    assert not list(client.topics())
    apply_all(client, files)
    assert not client.plan(files).changes
    assert not client.drift().changes
    (topic,) = client.topics()
    assert [place.cluster for place in topic.epochs[0].placements] == ["primary", "standby"]
    assert {cluster.name for cluster in client.clusters() if cluster.cluster_id} == {
        "primary",
        "standby",
    }


def test_more_partitions_are_one_change_a_cluster(
    client: ControlClient, admins: dict[str, Admin], topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name, partitions=1)))
    more = estate(topic_document(topic_name, partitions=3))
    plan = client.plan(more)
    assert [(change.kind, change.cluster) for change in plan.changes] == [
        ("increase-partitions", "primary"),
        ("increase-partitions", "standby"),
    ]
    apply_all(client, more)
    assert not client.plan(more).changes
    assert {admin.partition_count(topic_name) for admin in admins.values()} == {3}
    assert {place.partitions for place in client.topic(topic_name).epochs[0].placements} == {3}


def test_fewer_partitions_and_more_of_a_keyed_topic_are_refused(
    client: ControlClient, topic_name: str
) -> None:
    keyed = {"ordering": "key", "routing": "na", "clusters": "[primary]"}
    apply_all(client, estate(topic_document(topic_name, partitions=2, **keyed)))
    for wanted, says in ((1, "take partitions away"), (3, "ordering: key")):
        plan = client.plan(estate(topic_document(topic_name, partitions=wanted, **keyed)))
        assert not plan.changes
        assert says in plan.refusals[0].reason
        assert plan.refusals[0].next_step


def test_only_the_plan_that_was_read_is_applied(
    client: ControlClient, admins: dict[str, Admin], topic_name: str
) -> None:
    files = estate(topic_document(topic_name))
    digest = client.plan(files).digest
    admins["standby"].create_topic(topic_name, partitions=1, replication=1, config={})
    with pytest.raises(Conflict, match="plan again"):
        list(client.apply(files, digest=digest))
    assert not admins["primary"].has_topic(topic_name)
    assert not client.audit()
    assert not client.clusters()


def test_a_topic_that_is_there_already_is_adopted_as_it_is(
    client: ControlClient, admins: dict[str, Admin], topic_name: str
) -> None:
    for admin in admins.values():
        admin.create_topic(
            topic_name, partitions=1, replication=1, config={"max.message.bytes": "12345"}
        )
    files = estate(topic_document(topic_name))
    assert kinds(client.plan(files)).count("adopt-topic") == 2
    apply_all(client, files)
    assert admins["primary"].topic_configs([topic_name])[topic_name]["max.message.bytes"] == "12345"
    assert not client.plan(files).changes


def test_what_is_not_owned_is_never_touched(
    client: ControlClient, admins: dict[str, Admin], topic_name: str
) -> None:
    admins["primary"].create_topic(topic_name, partitions=1, replication=1, config={})
    apply_all(client, estate(topic_document(f"{topic_name}-mine")))
    assert not client.plan(estate(topic_document(f"{topic_name}-mine"))).changes
    apply_all(client, estate())
    assert admins["primary"].has_topic(topic_name)
    assert not admins["primary"].has_topic(f"{topic_name}-mine")


def test_drift_is_told_and_never_repaired_by_itself(
    client: ControlClient, admins: dict[str, Admin], topic_name: str, wait_until
) -> None:
    apply_all(client, estate(topic_document(topic_name, retention="7d")))
    admins["standby"].alter_config(topic_name, values={"retention.ms": "1000"})
    (change,) = client.drift().changes
    assert (change.kind, change.cluster) == ("alter-config", "standby")
    assert json.loads(change.before) == {"retention.ms": "1000"}
    assert json.loads(change.after) == {"retention.ms": "604800000"}
    wait_until(lambda: client.status().drifted == 1, message="the loop to see the drift")
    assert admins["standby"].topic_configs([topic_name])[topic_name]["retention.ms"] == "1000"


def test_a_topic_with_records_stays_until_it_is_emptied(
    client: ControlClient, federation, admins: dict[str, Admin], topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    produce(federation.bootstraps["standby"], topic_name)
    plan = client.plan(estate())
    assert not plan.changes
    (refusal,) = plan.refusals
    assert refusal.cluster == "standby"
    assert f"penstock topic empty {topic_name}" in refusal.next_step
    with pytest.raises(ConfigError, match="confirmation"):
        client.empty_topic(topic_name, confirm="yes")
    assert contents.has_records(admins["standby"], topic_name)
    emptied = client.empty_topic(topic_name, confirm=topic_name, reason="retired")
    assert {(p.cluster, p.records) for p in emptied.placements} == {("primary", 0), ("standby", 1)}
    apply_all(client, estate())
    assert not admins["standby"].has_topic(topic_name)
    assert not client.topics()
    assert [entry.reason for entry in client.audit() if entry.what == "empty-topic"] == [
        "retired"
    ] * 2


def test_a_record_that_comes_after_the_plan_saves_the_topic(
    client: ControlClient, federation, admins: dict[str, Admin], topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    plan = client.plan(estate())
    assert kinds(plan).count("delete-topic") == 2
    produce(federation.bootstraps["primary"], topic_name)
    with pytest.raises(Conflict):
        list(client.apply(estate(), digest=plan.digest))
    assert all(admin.has_topic(topic_name) for admin in admins.values())


def test_emptying_a_compacted_topic_leaves_its_policy_as_it_was(
    client: ControlClient, federation, admins: dict[str, Admin], topic_name: str
) -> None:
    config = "{cleanup.policy: compact}"
    apply_all(client, estate(topic_document(topic_name, config=config, clusters="[primary]")))
    produce_keyed(federation.bootstraps["primary"], topic_name)
    client.empty_topic(topic_name, confirm=topic_name)
    assert not contents.has_records(admins["primary"], topic_name)
    policy = admins["primary"].topic_configs([topic_name])[topic_name]["cleanup.policy"]
    assert policy == "compact"
    assert not client.drift().changes


def test_a_cluster_with_another_id_is_refused_and_left_alone(
    client: ControlClient, federation, topic_name: str
) -> None:
    wrong = cluster_document("primary", cluster_id="AAAAAAAAAAAAAAAAAAAAAA")
    plan = client.plan(estate(topic_document(topic_name), primary=wrong))
    (refusal,) = [r for r in plan.refusals if r.subject == "primary"]
    assert federation.clusters["primary"].cluster_id in refusal.reason
    assert all(change.cluster != "primary" for change in plan.changes)


def test_a_cluster_that_became_another_is_refused(
    client: ControlClient, control, federation, topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    swapped = dict(
        zip(federation.bootstraps, reversed(federation.bootstraps.values()), strict=True)
    )
    (control.home / "clusters.json").write_text(
        json.dumps({n: {"bootstrap": {"plaintext": a}} for n, a in swapped.items()})
    )
    plan = client.plan(estate(topic_document(topic_name, partitions=5)))
    assert {refusal.subject for refusal in plan.refusals} >= {"primary", "standby"}
    assert not [change for change in plan.changes if change.cluster]


def test_wrong_files_come_back_with_every_fault_and_change_nothing(client: ControlClient) -> None:
    files = [pb.EstateFile(path="my/estate.yaml", content="kind: Topic\nname: [\n")]
    with pytest.raises(ConfigError) as caught:
        client.plan(files)
    assert caught.value.faults[0].file == "my/estate.yaml"
    assert caught.value.faults[0].line
    with pytest.raises(ConfigError):
        list(client.apply(files, digest="x"))
    assert not client.audit()


def test_every_change_is_in_the_audit_with_who_and_what(
    client: ControlClient, topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    client.cordon("primary", reason="disk")
    entries = list(client.audit())
    assert [(e.what, e.subject) for e in entries][:3] == [
        ("cordon-cluster", "primary"),
        ("declare-topic", f"test/{topic_name}"),
        ("create-topic", f"standby/{topic_name}"),
    ]
    assert {entry.who for entry in entries} == {"operator"}
    assert json.loads(entries[0].before) == {"state": "active"}
    assert json.loads(entries[2].after)["partitions"] == 1
    assert entries[-1].what == "accept-plan"


def test_both_faces_give_the_same_metadata(client: ControlClient, control, topic_name: str) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    rest = httpx.get(f"{control.rest}/v1/metadata", params={"environment": "test"}).json()
    grpc = client.snapshot(environment="test")
    assert int(rest["version"]) == grpc.version
    assert rest["topics"][0]["epochs"][0]["placements"][1]["cluster"] == "standby"
    assert [t["name"] for t in rest["topics"]] == [t.name for t in grpc.topics]
    assert {c["name"]: c["listeners"][0]["bootstrap"] for c in rest["clusters"]} == {
        c.name: c.listeners[0].bootstrap for c in grpc.clusters
    }
    health = httpx.get(f"{control.rest}/health").json()
    assert health["ready"] is True
    assert "penstock_control_metadata_version" in httpx.get(f"{control.rest}/metrics").text
    assert "/v1/metadata" in httpx.get(f"{control.rest}/openapi.json").json()["paths"]


def test_switches_are_refused_where_they_make_no_sense(
    client: ControlClient, topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name, clusters="[primary]", routing="na")))
    for call, error, says in (
        (lambda: client.cordon("nowhere"), ConfigError, "no cluster nowhere"),
        (lambda: client.activate("nowhere", cluster="primary"), ConfigError, "no topic nowhere"),
        (lambda: client.activate(topic_name, cluster="primary"), Refused, "routing na"),
        (lambda: client.fail_back(topic_name), Refused, "routing na"),
    ):
        with pytest.raises(error, match=says):
            call()
    version = client.status().version
    client.uncordon("primary")
    assert client.status().version == version


def test_an_active_cluster_is_one_of_the_topics_and_survives_an_apply(
    client: ControlClient, topic_name: str
) -> None:
    apply_all(client, estate(topic_document(topic_name)))
    with pytest.raises(ConfigError, match="primary, standby"):
        client.activate(topic_name, cluster="elsewhere")
    assert client.activate(topic_name, cluster="standby").active_cluster == "standby"
    apply_all(client, estate(topic_document(topic_name, partitions=2)))
    assert client.topic(topic_name).active_cluster == "standby"
    apply_all(client, estate(topic_document(topic_name, partitions=2, clusters="[primary]")))
    assert not client.topic(topic_name).active_cluster


def produce_keyed(bootstrap: str, topic: str) -> None:
    from confluent_kafka import Producer  # noqa: PLC0415 - only here with a key

    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, key="k", value="v")
    assert producer.flush(30) == 0
