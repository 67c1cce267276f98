"""What a newcomer is promised, on a whole platform with no Java in sight."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf import json_format
from ruamel.yaml import YAML
from tests.platforms import QUICKSTART, Platform, running

import penstock
from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import connect_home
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

FRESH = 60.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("e2e") / "home") as started:
        yield started


@pytest.fixture
def estate(platform: Platform, tmp_path: Path) -> Iterator[Path]:
    """A copy of the quickstart to edit; afterwards the quickstart holds again."""
    copy = tmp_path / "estate"
    shutil.copytree(QUICKSTART, copy)
    yield copy
    platform.run("apply", str(QUICKSTART), "--yes")


def edit(path: Path, **fields: Any) -> None:
    yaml = YAML()
    document = yaml.load(path)
    document.update(fields)
    yaml.dump(document, path)


def rows(platform: Platform, count: int = 10_000) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = platform.json(
        "table", "show", "host-metrics", "--rows", str(count), "--wait", str(FRESH)
    )
    return shown


def place(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["cluster"], row["partition"], row["offset"]


def get(platform: Platform, path: str) -> Any:
    rest = json.loads((platform.home / "control.json").read_text())["rest"]
    with urllib.request.urlopen(f"{rest}{path}", timeout=10) as answer:
        return json.load(answer)


def test_the_main_job_runs(platform: Platform, wait_until: WaitUntil) -> None:
    status = platform.json("status")
    assert {c["name"]: c["state"] for c in status["clusters"]} == {
        "primary": "ready",
        "standby": "ready",
    }
    wait_until(lambda: rows(platform, 1), timeout_s=FRESH, message="the first row")
    before = len(rows(platform))
    wait_until(lambda: len(rows(platform)) > before, timeout_s=FRESH, message="rows grow")


def test_up_is_safe_to_repeat(platform: Platform) -> None:
    assert platform.json("up", "--detach")["clusters"]


def test_a_plan_of_what_was_applied_is_empty(platform: Platform) -> None:
    plan = platform.json("plan", str(QUICKSTART))
    assert plan["changes"] == []
    assert plan["refusals"] == []
    assert plan["digest"]


def test_a_raised_partition_count_is_one_change_a_cluster(platform: Platform, estate: Path) -> None:
    copy = estate / "topics/extra.yaml"
    shutil.copy(estate / "topics/drill.yaml", copy)
    edit(copy, name="raised", partitions=2)
    platform.run("apply", str(estate), "--yes")
    edit(copy, partitions=5)
    plan = platform.json("plan", str(estate), expect=2)
    assert [(c["kind"], c["cluster"], c["subject"]) for c in plan["changes"]] == [
        ("increase-partitions", "primary", "raised"),
        ("increase-partitions", "standby", "raised"),
    ]
    platform.run("apply", str(estate), "--yes")
    assert platform.json("plan", str(estate))["changes"] == []


def test_a_topic_with_messages_goes_only_after_it_was_emptied(
    platform: Platform, estate: Path
) -> None:
    file = estate / "topics/orders.yaml"
    shutil.copy(estate / "topics/drill.yaml", file)
    edit(file, name="orders", partitions=2)
    platform.run("apply", str(estate), "--yes")
    with penstock.connect("e2e", home=platform.home) as client:
        client.producer("orders").send(b"{}", key=b"k")
    file.unlink()
    plan = platform.json("plan", str(estate), expect=5)
    assert plan["changes"] == []
    assert "orders" in plan["refusals"][0]["subject"]
    assert "penstock topic empty orders" in plan["refusals"][0]["next_step"]
    platform.run("topic", "empty", "orders", "--yes")
    platform.run("apply", str(estate), "--yes")
    topics = get(platform, "/v1/topics")["topics"]
    assert "orders" not in {topic["name"] for topic in topics}


def test_rest_and_grpc_give_the_same_metadata(platform: Platform) -> None:
    over_rest = get(platform, "/v1/topics/host-metrics?environment=development")
    with connect_home(platform.home) as control:
        over_grpc = control.topic("host-metrics", environment="development")
    assert over_grpc.epochs
    assert json_format.ParseDict(over_rest, pb.Topic()) == over_grpc


def test_a_cordon_moves_a_running_client(platform: Platform, wait_until: WaitUntil) -> None:
    with penstock.connect("e2e-cordon", home=platform.home) as client:
        producer = client.producer("drill")
        assert producer.send(b"{}").cluster == "primary"
        platform.run("cluster", "cordon", "primary", "--reason", "a test")
        try:
            wait_until(
                lambda: producer.send(b"{}").cluster == "standby",
                timeout_s=FRESH,
                message="the client leaves the cordoned cluster",
            )
        finally:
            platform.run("cluster", "uncordon", "primary", "--reason", "the test is over")
        wait_until(
            lambda: producer.send(b"{}").cluster == "primary",
            timeout_s=FRESH,
            message="the client returns",
        )


@pytest.mark.parametrize("fault", [[], ["--hang"]], ids=["kill", "hang"])
def test_a_drill_loses_nothing(platform: Platform, fault: list[str]) -> None:
    report = platform.json("drill", "cluster-loss", *fault)
    assert report["attempted"] > 0
    assert report["lost"] == 0
    assert report["availability"] >= 0.99999
    assert report["first_ack_elsewhere_ms"] > 0


def test_everything_killed_at_once_goes_on(platform: Platform, wait_until: WaitUntil) -> None:
    before = rows(platform)
    status = platform.json("status")
    pids = [status["pid"], *(p["pid"] for p in status["processes"] if p["pid"])]
    dying = [psutil.Process(pid) for pid in pids]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    psutil.wait_procs(dying, timeout=30)
    platform.run("up", "--detach")
    wait_until(
        lambda: len(rows(platform)) > len(before), timeout_s=FRESH, message="rows grow again"
    )
    now = rows(platform)
    assert len({place(row) for row in now}) == len(now)
    assert {place(row) for row in before} <= {place(row) for row in now}
    for log in {place(row)[:2] for row in now}:
        offsets = sorted(place(row)[2] for row in now if place(row)[:2] == log)
        assert offsets == list(range(len(offsets))), f"records of {log} are missing"
