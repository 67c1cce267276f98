"""Metadata from a real control plane: followed while it runs, kept for when it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from tests.sdk.estates import create, make_snapshot, make_topic

import penstock
from penstock.api._gen import penstock_pb2 as pb
from penstock.sdk import cache
from penstock.testing.control import RunningControlPlane, running_control_plane

pytestmark = pytest.mark.real

CLUSTERS = """
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Cluster
name: standby
environment: development
embedded: true
"""
TOPIC = """
---
kind: Topic
name: {name}
owner: tests
clusters: [primary, standby]
routing: failover
ordering: none
partitions: 3
replication: 1
"""


def declare(control: RunningControlPlane, *names: str) -> None:
    """Plan and apply an estate with these topics."""
    content = CLUSTERS + "".join(TOPIC.format(name=name) for name in names)
    files = [pb.EstateFile(path="estate.yaml", content=content)]
    with control.client() as client:
        plan = client.plan(files)
        assert not plan.refusals
        for event in client.apply(files, digest=plan.digest):
            assert event.outcome != pb.OUTCOME_FAILED, event.error


@pytest.fixture
def control(federation, tmp_path: Path):
    """Start a control plane on the shared clusters."""
    with running_control_plane(tmp_path / "control", clusters=federation.bootstraps) as running:
        yield running


def connect(control: RunningControlPlane, home: Path) -> penstock.Client:
    home.mkdir(exist_ok=True)
    return penstock.connect("follower", control=control.address, home=home)


def test_a_cordon_reaches_a_running_client_and_is_reported(
    control, tmp_path: Path, topic_name: str, wait_until: Callable[..., None]
) -> None:
    declare(control, topic_name)
    with connect(control, tmp_path / "home") as client, control.client() as operator:
        producer = client.producer(topic_name)
        assert producer.send(b"before").cluster == "primary"
        operator.cordon("primary", reason="test")
        wait_until(lambda: producer.clusters == ("standby",), message="still on primary")
        assert producer.send(b"after").cluster == "standby"
        operator.uncordon("primary")
        wait_until(lambda: producer.clusters == ("primary",), message="still on standby")

        def reported() -> bool:
            version = client.metadata.snapshot().version
            told = operator.clients().clients
            return any(c.client.service == "follower" and c.version == version for c in told)

        wait_until(reported, message="the applied version was not reported")


def test_a_client_that_needs_another_topic_gets_it(
    control, tmp_path: Path, topic_name: str
) -> None:
    other = f"{topic_name}-2"
    declare(control, topic_name, other)
    with connect(control, tmp_path / "home") as client:
        client.producer(topic_name).send(b"x")
        client.producer(other).send(b"x")
        names = {topic.name for topic in client.metadata.snapshot().topics.values()}
        assert names == {topic_name, other}


def test_a_client_lives_its_whole_life_without_the_control_plane(
    control, tmp_path: Path, topic_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    declare(control, topic_name)
    with connect(control, tmp_path / "home") as client:
        client.producer(topic_name).send(b"earlier")
    control.stop()
    with connect(control, tmp_path / "home") as client:
        assert client.producer(topic_name).send(b"x").cluster == "primary"
        consumer = client.consumer(topic_name, group=topic_name)
        records = iter(consumer)
        assert {next(records).value, next(records).value} == {b"earlier", b"x"}
    assert "going on with metadata version" in caplog.text


def test_a_client_goes_on_while_the_control_plane_is_away_and_follows_it_again(
    federation, tmp_path: Path, topic_name: str, wait_until: Callable[..., None]
) -> None:
    home = tmp_path / "control"
    with running_control_plane(home, clusters=federation.bootstraps) as control:
        declare(control, topic_name)
        with connect(control, tmp_path / "home") as client:
            producer = client.producer(topic_name)
            control.kill()
            assert producer.send(b"x").cluster == "primary"
            with running_control_plane(home) as again, again.client() as operator:
                operator.cordon("primary", reason="test")
                wait_until(lambda: producer.clusters == ("standby",), message="not followed")


def test_no_control_plane_and_nothing_saved_is_one_clear_error(tmp_path: Path) -> None:
    with (
        penstock.connect("alone", control="127.0.0.1:1", home=tmp_path) as client,
        pytest.raises(penstock.NotReady, match="no earlier run has left metadata"),
    ):
        client.producer("anything")


def test_no_address_of_a_control_plane_says_how_to_give_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_CONTROL", raising=False)
    with (
        penstock.connect("alone", home=tmp_path) as client,
        pytest.raises(penstock.ConfigError, match="PENSTOCK_CONTROL"),
    ):
        client.producer("anything")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 99}', '{"format": 1, "snapshot": {"version": "x"}}']
)
def test_a_corrupted_file_is_ignored_with_a_warning(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = cache.path_for(tmp_path, service="s", environment=None)
    path.write_text(content)
    assert cache.load(path) is None
    assert str(path) in caplog.text


def test_saved_metadata_is_what_was_known(tmp_path: Path) -> None:
    path = cache.path_for(tmp_path / "new", service="a/b", environment="development")
    snapshot = make_snapshot({"a": "h:1"}, [make_topic("t", ["a"])], version=7)
    cache.save(path, snapshot)
    assert cache.load(path) == snapshot
    assert json.loads(path.read_text())["format"] == 1
    assert [p.name for p in path.parent.iterdir()] == ["a_b-development.json"]


def test_a_directory_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache.save(tmp_path / "file" / "x.json", make_snapshot({}, []))
    assert "not kept on disk" in caplog.text


def test_a_cluster_given_by_hand_needs_no_control_plane(federation, topic_name: str) -> None:
    create(federation.bootstraps["primary"], NewTopic(topic_name, 1, 1))
    snapshot = make_snapshot(federation.bootstraps, [make_topic(topic_name, ["primary"])])
    metadata = penstock.StaticMetadata(snapshot)
    with penstock.connect("static", metadata=metadata) as client:
        assert client.producer(topic_name).send(b"x").offset == 0
