"""The whole way: an estate is applied, the agent produces, ingest lands, commands show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.sources import Source, good, places, read

from penstock.api._gen import penstock_pb2 as pb
from penstock.ingest.backfill.pieces import Loads, Part, Plan
from penstock.ingest.locations import locate
from penstock.testing.control import RunningControlPlane, running_control_plane
from penstock.testing.plugin import Federation, WaitUntil

pytestmark = pytest.mark.real

ESTATE = """
kind: Cluster
name: primary
environment: test
embedded: true
---
kind: Cluster
name: standby
environment: test
embedded: true
---
kind: Topic
name: {topic}
owner: tests
clusters: [primary, standby]
routing: failover
ordering: none
partitions: 3
replication: 1
"""
TABLE = """
kind: Table
name: {name}
topic: {topic}
owner: tests
columns: {columns}
derived: {{cluster: cluster, partition: partition, offset: offset}}
latency: 100ms
"""
COLUMNS = "{id: {type: string, nullable: false}, n: long}"


def apply(control: RunningControlPlane, documents: Sequence[str]) -> None:
    files = [pb.EstateFile(path=f"{n}.yaml", content=text) for n, text in enumerate(documents)]
    with control.client() as client:
        planned = client.plan(files)
        assert not planned.refusals
        events = list(client.apply(files, digest=planned.digest))
    assert not [e for e in events if e.outcome in (pb.OUTCOME_FAILED, pb.OUTCOME_SKIPPED)]


@contextmanager
def penstock(*arguments: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "process.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments, "--home", str(home)],
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def run(*arguments: str, home: Path, expect: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "penstock", *arguments, "--home", str(home)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == expect, result.stderr
    return result.stdout + result.stderr


def status(home: Path) -> dict[str, Any]:
    path = home / "ingest/status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def get(home: Path, path: str) -> tuple[int, str]:
    address = json.loads((home / "ingest/listen.json").read_text())["http"]
    try:
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_tables_are_followed_as_they_are_declared(
    federation: Federation, topic_name: str, wait_until: WaitUntil, tmp_path: Path
) -> None:
    estate = ESTATE.format(topic=topic_name)
    table = TABLE.format(name="landed", topic=topic_name, columns=COLUMNS)
    late = TABLE.format(name="late", topic=topic_name, columns="{id: string}")
    wrong = TABLE.format(name="late", topic=topic_name, columns="{id: long}")
    source = Source(topic=topic_name, clusters=dict(federation.clusters))
    with running_control_plane(tmp_path, clusters=federation.bootstraps) as control:
        apply(control, [estate, table])
        source.send_rows(20, cluster="primary")
        source.send_rows(20, cluster="standby", first=20)
        refused = run("table", "show", "landed", "--wait", "0", home=tmp_path, expect=4)
        assert "has no rows yet" in refused
        # A first look that comes before the first batch is no error: it waits for it.
        early = penstock("table", "show", "landed", "--rows", "3", "--json", home=tmp_path)
        with early as looking, penstock("ingest", home=tmp_path) as process:
            wait_until(lambda: looking.poll() is not None, message="the first rows are shown")
            assert looking.returncode == 0
            wait_until(lambda: rows(tmp_path, "landed") == 40, message="40 rows")
            assert status(tmp_path)["test/landed"]["state"] == "running"
            code, body = get(tmp_path, "/health")
            assert (code, json.loads(body)["status"]) == (200, "ok")
            assert "penstock_table_rows{" in get(tmp_path, "/metrics")[1]
            assert get(tmp_path, "/nothing")[0] == 404
            parts = (Part(file="a", first=0, end=1, rows=70),)
            plan = Plan(name="backfill/a1", source="s3://archive", pieces=(parts,))
            Loads(locate("test/landed", lake=tmp_path / "lake")).write(plan)
            wait_until(
                lambda: (
                    [load["rows_total"] for load in status(tmp_path)["test/landed"]["loads"]]
                    == [70]
                ),
                message="the backfill is told",
            )
            measured = get(tmp_path, "/metrics")[1]
            assert re.search(
                r'^penstock_load_rows_total{.*"backfill/a1".*} 70', measured, re.MULTILINE
            )

            apply(control, [estate, table, late])
            wait_until(lambda: rows(tmp_path, "late") == 40, message="the table declared later")

            apply(control, [estate, table, wrong])
            wait_until(lambda: state(tmp_path, "late") == "stopped", message="stopped")
            assert get(tmp_path, "/health")[0] == 503

            apply(control, [estate, table])
            wait_until(lambda: "test/late" not in status(tmp_path), message="taken away")
            process.terminate()
            assert process.wait(60) == 0
    assert len(read(tmp_path / "lake/test/late")) == 40

    # Without a control plane: from what was told before.
    source.send([good(40), b"poison"], cluster="standby")
    with penstock("ingest", "--table", "landed", home=tmp_path):
        wait_until(lambda: rows(tmp_path, "landed") == 41, message="41 rows")
    goods = sorted(place for place, value in source.acked.items() if value != b"poison")
    assert places(read(tmp_path / "lake/test/landed")) == goods
    shown = json.loads(run("table", "show", "landed", "--rows", "3", "--json", home=tmp_path))
    assert len(shown) == 3
    letters = json.loads(
        run("table", "show", "test/landed", "--dead-letters", "--json", home=tmp_path)
    )
    assert [letter["cluster"] for letter in letters] == ["standby"]
    assert "41" in run("table", "status", home=tmp_path)
    assert_orders_are_followed(tmp_path, wait_until)
    assert topic_name in run("table", "list", "--json", home=tmp_path)
    assert "Declared are: landed" in run("table", "show", "nope", home=tmp_path, expect=3)


def assert_orders_are_followed(home: Path, wait_until: WaitUntil) -> None:
    told = status(home)["test/landed"]
    assert told["latency"]["declared_ms"] == 100
    assert told["batches"][-1]["files_added"] >= 1
    assert told["dead_letters"] == 1
    with penstock("ingest", home=home):
        assert "replay of landed is done" in run("table", "replay", "landed", home=home)
        run("table", "pause", "landed", home=home)
        wait_until(lambda: state(home, "landed") == "paused", message="paused")
        run("table", "resume", "landed", home=home)
        back = ("table", "reset", "landed", "--to", "2020-01-01T00:00:00Z")
        assert "say --yes" in run(*back, home=home, expect=1)
        assert "reset of landed is done" in run(*back, "--yes", home=home)
        wait_until(lambda: rows(home, "landed") == 82, message="every row twice")
        without = ("table", "reset", "landed", "--without", "standby")
        assert "say --yes" in run(*without, home=home, expect=1)
        assert "reset of landed is done" in run(*without, "--yes", home=home)
        assert "either --to" in run(*without, "--to", "2020-01-01T00:00:00Z", home=home, expect=3)
        assert "either --to" in run("table", "reset", "landed", home=home, expect=3)
        assert "compact of landed is done" in run("table", "compact", "landed", home=home)
    assert "is asked and not done" in run(
        "table", "compact", "landed", "--wait", "0.5", home=home, expect=4
    )
    assert "no time zone" in run(*back[:-1], "2020-01-01", home=home, expect=3)


def test_the_agent_s_samples_land_and_it_outlives_its_control_plane(
    federation: Federation, topic_name: str, wait_until: WaitUntil, tmp_path: Path
) -> None:
    columns = "{instance: {type: string, nullable: false}, at: timestamp, cpu_percent: double}"
    table = TABLE.format(name="metrics", topic=topic_name, columns=columns)
    with (
        penstock("agent", "host-metrics", "--topic", topic_name, home=tmp_path) as agent,
        running_control_plane(tmp_path, clusters=federation.bootstraps) as control,
    ):
        apply(control, [ESTATE.format(topic=topic_name), table])
        with penstock("ingest", home=tmp_path):
            wait_until(lambda: (rows(tmp_path, "metrics") or 0) >= 2, message="2 samples")
            control.kill()
            before = rows(tmp_path, "metrics") or 0
            wait_until(lambda: (rows(tmp_path, "metrics") or 0) > before, message="more samples")
        assert agent.poll() is None
        agent.terminate()
        assert agent.wait(60) == 0
    samples = read(tmp_path / "lake/test/metrics")
    assert len({sample["instance"] for sample in samples}) == 1
    assert len({sample["at"] for sample in samples}) == len(samples)


def rows(home: Path, table: str) -> int | None:
    told = status(home).get(f"test/{table}")
    return told["rows"] if told else None


def state(home: Path, table: str) -> str | None:
    told = status(home).get(f"test/{table}")
    return told["state"] if told else None


def test_nothing_starts_without_a_control_plane_that_was_ever_known(tmp_path: Path) -> None:
    assert "penstock up" in run("table", "list", home=tmp_path, expect=4)
    assert "No ingest process has run" in run("table", "status", home=tmp_path)
    assert "penstock up" in run("drill", "cluster-loss", home=tmp_path, expect=4)
    assert "no authentication" in run("ingest", "--listen", "0.0.0.0:0", home=tmp_path, expect=3)


def test_a_setting_of_sparks_that_is_none_is_refused(tmp_path: Path) -> None:
    told = run("ingest", "--spark-conf", "a=b", "--spark-conf", "a=", home=tmp_path, expect=3)
    assert "--spark-conf 'a=' is not name=value" in told
    assert "--spark-conf spark.executor.memory=4g" in told
