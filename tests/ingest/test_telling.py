"""What the agent samples, and what an ingest process tells about itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.worker_process import make_table

from penstock.errors import ConfigError, NotReady
from penstock.ingest import endpoint, owners, statuses
from penstock.ingest.progress import Batch, Progress, State, Told
from penstock.runtime import host_metrics
from penstock.sdk.deliveries import Delivery, OnDelivery

pytestmark = pytest.mark.unit


class Recorder:
    """Takes records, or refuses them as a producer without a cluster does."""

    def __init__(self) -> None:
        self.works = True
        self.taken: list[tuple[str, bytes, bytes]] = []
        self.reports: list[OnDelivery] = []

    def send_nowait(self, value: bytes, key: bytes, *, id: str, on_delivery: OnDelivery) -> None:  # noqa: A002
        if not self.works:
            raise NotReady("no cluster takes records")
        self.taken.append((id, key, value))
        self.reports.append(on_delivery)


def make_sample(at: str) -> host_metrics.Sample:
    now = host_metrics.read_counters()
    taken = host_metrics.sample("host-1", home=Path("/"), before=now, now=now)
    return replace(taken, at=at)


def test_a_sample_has_the_quickstart_s_columns(tmp_path: Path) -> None:
    before = host_metrics.read_counters()
    after = replace(
        before, at_s=before.at_s + 2, disk_read_bytes=before.disk_read_bytes + 100,
        network_sent_bytes=0,
    )  # fmt: skip
    taken = host_metrics.sample("host-1", home=tmp_path, before=before, now=after)
    assert taken.disk_read_bytes_per_s == 50
    assert taken.network_sent_bytes_per_s == 0, "a counter that begins anew is no negative rate"
    assert datetime.fromisoformat(taken.at).tzinfo == UTC


def test_samples_wait_in_order_while_nothing_takes_them_and_the_oldest_go(tmp_path: Path) -> None:
    recorder = Recorder()
    agent = host_metrics.Agent(recorder, home=tmp_path)
    recorder.works = False
    for n in range(605):
        agent.offer(make_sample(f"{n:03}"))
    assert agent.dropped == 5
    recorder.works = True
    agent.offer(make_sample("605"))
    assert [id_ for id_, _, _ in recorder.taken] == [f"host-1-{n:03}" for n in range(6, 606)]
    assert json.loads(recorder.taken[0][2])["at"] == "006"


def test_a_sample_that_was_given_up_is_sent_again_with_its_id(tmp_path: Path) -> None:
    recorder = Recorder()
    agent = host_metrics.Agent(recorder, home=tmp_path)
    agent.offer(make_sample("a"))
    recorder.reports[0](Delivery(id="host-1-a", error=NotReady("given up")))
    agent.offer(make_sample("b"))
    assert [id_ for id_, _, _ in recorder.taken] == ["host-1-a", "host-1-a", "host-1-b"]


def test_an_instance_keeps_its_id(tmp_path: Path) -> None:
    first = host_metrics.instance_id(tmp_path)
    assert host_metrics.instance_id(tmp_path) == first
    assert host_metrics.instance_id(tmp_path / "other") != first


def test_an_agent_samples_until_it_is_stopped(tmp_path: Path) -> None:
    """With a clock that always stands just before a whole second."""
    recorder = Recorder()
    stopping = threading.Event()
    agent = host_metrics.Agent(recorder, home=tmp_path, clock=lambda: 0.999)
    thread = threading.Thread(target=agent.run, args=(stopping,))
    thread.start()
    deadline = time.monotonic() + 30
    while len(recorder.taken) < 3 and time.monotonic() < deadline:
        stopping.wait(0.01)
    stopping.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len(recorder.taken) >= 3


def a_batch(number: int, reached_ms: int) -> Batch:
    return Batch(
        number=number, committed_at=datetime(2026, 11, 21, tzinfo=UTC), records=5, inserted=4,
        updated=0, deleted=0, letters=1, duration_ms=20, files_added=1, files_removed=0,
        reached_ms=reached_ms,
    )  # fmt: skip


def test_rates_are_over_the_last_ten_looks() -> None:
    clock = iter(range(100))
    table = make_table("t")
    told = statuses.Statuses(owners.me(), clock=lambda: float(next(clock)))
    progress = Progress(state=State.RUNNING, rows=1_000)
    assert told.render({"t": (table, progress)})["t"]["rows_per_s"] == 0.0
    for landed in range(50, 1_001, 50):
        status = told.render({"t": (table, replace(progress, landed=landed))})["t"]
        assert status["rows_per_s"] == 50
    for _ in range(10):
        status = told.render({"t": (table, replace(progress, landed=1_000))})["t"]
    assert status["rows_per_s"] == 0
    assert status["state"] == "running"


def test_the_latency_reached_is_told_beside_the_declared_one() -> None:
    batches = tuple(a_batch(n, reached_ms=10 * n) for n in range(1, 101))
    told = statuses.Statuses(owners.me()).render(
        {"t": (make_table("t", latency_ms=500), Progress(batches=batches, lag_s=1.23456))}
    )["t"]
    assert told["latency"] == {
        "declared_ms": 500, "reached_p50_ms": 510, "reached_p99_ms": 1_000,
    }  # fmt: skip
    assert [batch["number"] for batch in told["batches"]] == list(range(91, 101))
    assert told["lag_s"] == 1.235


def test_processes_of_a_home_tell_of_their_tables_in_one_file(tmp_path: Path) -> None:
    one, two = owners.me(), owners.me()
    dead = replace(owners.me(), pid=2**22 + 1)
    for owner, ident in ((dead, "c"), (one, "a"), (two, "b"), (one, "a")):
        statuses.Statuses(owner).write(tmp_path, {ident: (make_table("t"), Progress())})
    told = statuses.read(tmp_path)
    assert {ident: status["process"] for ident, status in told.items()} == {
        "a": one.name, "b": two.name,
    }  # fmt: skip


def test_a_status_file_that_is_not_there_or_broken_is_empty(tmp_path: Path) -> None:
    assert statuses.read(tmp_path) == {}
    statuses.write_atomically(tmp_path / "status.json", "{")
    assert statuses.read(tmp_path) == {}
    statuses.write_atomically(tmp_path / "status.json", '{"t": {}}')
    assert statuses.read(tmp_path) == {"t": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("listen", ["", "localhost:0", "127.0.0.1", "127.0.0.1:http", "0.0.0.0:0"])
def test_an_address_that_is_none_or_not_on_loopback_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError), endpoint.serve(listen, dict):
        pass


def test_a_taken_port_is_told() -> None:
    with endpoint.serve("127.0.0.1:0", dict) as address:
        taken = address.removeprefix("http://")
        with pytest.raises(NotReady, match="--listen"), endpoint.serve(taken, dict):
            pass


def a_load(**told: Any) -> Told:
    numbers = {"pieces": 2, "of": 8, "rows_done": 500, "rows_total": 2_000, "rows_per_s": 41.5}
    declared = {"name": "backfill/a1", "source": "s3://archive", "state": "running"}
    return Told(**{**declared, **numbers, **told})


def test_a_table_s_loads_and_turn_are_told(tmp_path: Path) -> None:
    loads = (a_load(), a_load(name="bootstrap", state="done"))
    progress = Progress(state=State.YIELDING, loads=loads, turn="backfill/a1 of host-1")
    told = statuses.Statuses(owners.me())
    told.write(tmp_path / "ingest", {"t": (make_table("t"), progress)})
    status = statuses.read(tmp_path / "ingest")["t"]
    assert (status["state"], status["turn"]) == ("yielding", "backfill/a1 of host-1")
    first, second = status["loads"]
    assert (first["rows_done"], first["rows_total"], first["rows_per_s"]) == (500, 2_000, 41.5)
    assert second["state"] == "done"
    shown = subprocess.run(
        [sys.executable, "-m", "penstock", "table", "status", "--home", str(tmp_path)],
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "yielding" in shown
    assert (
        "backfill/a1 running: 500 of 2,000 rows, 41.5/s; backfill/a1 of host-1 has its turn"
        in shown
    )
    assert "bootstrap" not in shown, "what is done is told by --json alone"
