"""What a kill leaves behind, and who goes on: real processes, real clusters, a shared PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest
from tests.control.estates import apply_all, estate, kinds, topic_document

from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient
from penstock.control.store import emptyings, plans
from penstock.control.store.emptyings import Emptying
from penstock.control.store.opening import open_store
from penstock.errors import NotReady
from penstock.kafka.admin import Admin

pytestmark = pytest.mark.real

TOPICS = 25


@pytest.fixture
def shared_store(postgres) -> str:
    return postgres.new_database()


def many(prefix: str) -> list[pb.EstateFile]:
    return estate(*(topic_document(f"{prefix}-{number}") for number in range(TOPICS)))


def kill_inside_apply(control, files: list[pb.EstateFile]) -> None:
    """Kill the control plane as soon as it has created one topic of many."""
    with control.client() as client:
        for event in client.apply(files, digest=client.plan(files).digest):
            if event.change.kind == "create-topic" and event.outcome == pb.OUTCOME_DONE:
                control.kill()
                return
    pytest.fail("no topic was created")


def test_a_killed_apply_is_finished_by_the_next_start(
    start_control, federation, topic_name: str, tmp_path: Path, wait_until
) -> None:
    home = tmp_path / "home"
    files = many(topic_name)
    killed = start_control(home, clusters=federation.bootstraps)
    kill_inside_apply(killed, files)
    store = open_store(f"sqlite:///{home}/control/store.sqlite")
    with store.read() as tx:
        (left,) = plans.pending(tx)
    assert {step.status for step in left.changes} >= {"done", "pending"}
    store.close()
    with start_control(home).client() as client:
        wait_until(lambda: len(client.topics()) == TOPICS and not client.status().pending_changes)
        assert not client.plan(files).changes
        created = Counter(
            entry.subject for entry in client.audit(limit=1_000) if entry.what == "create-topic"
        )
    assert set(created.values()) == {1}
    assert len(created) == 2 * TOPICS


def test_a_stopped_apply_is_told_and_finished_later(
    start_control, federation, topic_name: str, tmp_path: Path, wait_until
) -> None:
    files = many(topic_name)
    control = start_control(tmp_path / "home", clusters=federation.bootstraps)
    with control.client() as client:
        events = client.apply(files, digest=client.plan(files).digest)
        next(events)
        control.process.terminate()
        with pytest.raises(NotReady):
            list(events)
    assert control.process.wait(60) == 0
    with start_control(tmp_path / "home").client() as client:
        wait_until(lambda: len(client.topics()) == TOPICS)
        wait_until(lambda: not client.plan(files).changes)


def test_a_cluster_that_is_down_does_not_stop_the_others(
    start_control, fresh_federation, topic_name: str, tmp_path: Path, wait_until
) -> None:
    federation = fresh_federation()
    control = start_control(tmp_path / "home", clusters=federation.bootstraps)
    files = estate(
        topic_document(topic_name),
        topic_document(f"{topic_name}-na", clusters="[standby]", routing="na"),
    )
    with control.client() as client:
        apply_all(client, estate())
        federation.clusters["standby"].kill()
        plan = client.plan(files)
        assert list(plan.unreachable) == ["standby"]
        assert {change.cluster for change in plan.changes} == {"", "primary"}
        apply_all(client, files)
        (topic,) = client.topics()
        assert [place.cluster for place in topic.epochs[0].placements] == ["primary"]
        wait_until(
            lambda: [c.name for c in client.status().clusters if not c.reachable] == ["standby"]
        )
        federation.clusters["standby"].start_again()
        wait_until(lambda: all(c.reachable for c in client.status().clusters))
        apply_all(client, files)
        assert not client.plan(files).changes
        assert len(client.topic(topic_name).epochs[0].placements) == 2


def test_a_failure_holds_back_only_its_own_topic(
    start_control, federation, topic_name: str, tmp_path: Path
) -> None:
    # The planner cannot know that a broker refuses this value.
    config = "{compression.type: bogus}"
    control = start_control(tmp_path / "home", clusters=federation.bootstraps)
    files = estate(topic_document(f"{topic_name}-bad", config=config), topic_document(topic_name))
    with control.client() as client:
        events = list(client.apply(files, digest=client.plan(files).digest))
        ends = {
            (
                event.change.kind,
                event.change.subject.removeprefix("test/"),
                event.change.cluster,
            ): event.outcome
            for event in events
            if event.outcome != pb.OUTCOME_STARTED
        }
        bad = f"{topic_name}-bad"
        assert ends["create-topic", bad, "primary"] == pb.OUTCOME_FAILED
        assert ends["create-topic", bad, "standby"] == pb.OUTCOME_SKIPPED
        assert ends["declare-topic", bad, ""] == pb.OUTCOME_SKIPPED
        assert ends["create-topic", topic_name, "standby"] == pb.OUTCOME_DONE
        assert ends["declare-topic", topic_name, ""] == pb.OUTCOME_DONE
        assert [topic.name for topic in client.topics()] == [topic_name]
        assert "create-topic" in kinds(client.plan(files))
        assert not client.status().pending_changes


def test_a_policy_left_by_a_killed_emptying_is_put_back(
    start_control, federation, topic_name: str, tmp_path: Path, wait_until
) -> None:
    home = tmp_path / "home"
    files = estate(
        topic_document(topic_name, clusters="[primary]", config="{cleanup.policy: compact}")
    )
    control = start_control(home, clusters=federation.bootstraps)
    with control.client() as client:
        apply_all(client, files)
    control.kill()
    # What stands in the store and on the cluster while records are being deleted.
    store = open_store(f"sqlite:///{home}/control/store.sqlite")
    with store.write() as tx:
        emptyings.begin(tx, Emptying(cluster="primary", topic=topic_name, cleanup_policy="compact"))
    store.close()
    admin = Admin("primary", federation.bootstraps["primary"])
    admin.alter_config(topic_name, values={"cleanup.policy": "compact,delete"})
    with start_control(home).client() as client:
        wait_until(lambda: not client.drift().changes)
    assert admin.topic_configs([topic_name])[topic_name]["cleanup.policy"] == "compact"


def test_two_control_planes_share_a_store_and_one_leads(
    start_control, federation, shared_store: str, tmp_path: Path, wait_until
) -> None:
    topic_name = f"shared-{uuid.uuid4().hex[:8]}"
    options = ("--store", shared_store)
    one = start_control(tmp_path / "one", clusters=federation.bootstraps, options=options)
    with one.client() as client:
        wait_until(lambda: client.status().leading)
        apply_all(client, estate(topic_document(topic_name)))
    two = start_control(tmp_path / "two", clusters=federation.bootstraps, options=options)
    with one.client() as first, two.client() as second:
        assert not second.status().leading
        assert second.status().leader == first.status().leader
        assert second.snapshot() == first.snapshot()
        first.cordon("primary", reason="drill")
        wait_until(lambda: second.cluster("primary").state == pb.CLUSTER_STATE_CORDONED)
        second.uncordon("primary")
        wait_until(lambda: first.cluster("primary").state == pb.CLUSTER_STATE_ACTIVE)
        kill_inside_apply(one, many(topic_name))
        wait_until(lambda: second.status().leading, message="the other to lead")
        wait_until(lambda: not second.status().pending_changes and len(second.topics()) == TOPICS)
        assert not second.plan(many(topic_name)).changes


def test_a_restart_keeps_the_address(start_control, tmp_path: Path) -> None:
    control = start_control(tmp_path / "home")
    address, rest, token = control.address, control.rest, control.token
    assert control.stop() == 0
    addresses = json.loads((tmp_path / "home/control.json").read_text())
    assert addresses == {"grpc": address, "rest": rest}
    again = start_control(tmp_path / "home")
    assert (again.address, again.rest, again.token) == (address, rest, token)


def test_a_second_one_in_the_same_home_is_refused(start_control, tmp_path: Path) -> None:
    control = start_control(tmp_path / "home")
    second = run_control(tmp_path / "home")
    assert second.returncode == 6
    assert "already" in second.stderr
    with ControlClient(control.address) as client:
        assert client.status().version


@pytest.mark.parametrize("face", ["grpc", "rest"])
def test_a_taken_port_is_one_clear_error(start_control, tmp_path: Path, face: str) -> None:
    control = start_control(tmp_path / "home")
    taken = {"grpc": control.address, "rest": control.rest}[face].rpartition(":")[2]
    second = run_control(tmp_path / "other", f"--{face}-port", taken)
    assert second.returncode == 4
    assert "another port" in second.stderr
    assert not (tmp_path / "other/control.json").exists()


def test_wrong_settings_are_one_clear_error(tmp_path: Path) -> None:
    second = run_control(tmp_path / "home", "--listen", "nowhere")
    assert second.returncode == 3
    assert "listen" in second.stderr
    assert "Traceback" not in second.stderr


def run_control(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", "control", "--home", str(home), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
