"""A writer that was stopped for long comes back, and processes that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.ingest.sources import Source, good, places, read

from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.mark.parametrize(("point", "batches"), [("between", 36), ("before", 1)])
def test_a_writer_that_was_stopped_in_a_batch_finds_out_and_doubles_nothing(
    source: Source,
    run_worker: Start,
    wait_until: WaitUntil,
    tmp_path: Path,
    *,
    point: str,
    batches: int,
) -> None:
    """Others run its batch and more, in one case so many that its plan is long gone."""
    lake = tmp_path / "lake"
    source.send([*(good(n) for n in range(20)), b"poison"], cluster="primary")
    zombie = run_worker(source, stop=point)
    process = psutil.Process(zombie.pid)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, message="stopped")
    live = run_worker(source)
    for n in range(batches):
        source.send([good(20 + n)], cluster="standby")
        wait_until(lambda: planned(lake) >= n + 2, message="a batch")  # noqa: B023
    assert (batches < 30) == (lake / "landed/_penstock/batches/1.json").exists()
    source.send([b"more poison"], cluster="primary")
    live.terminate()
    assert live.wait(60) == 0
    os.kill(zombie.pid, signal.SIGCONT)
    log = tmp_path / "worker.log"
    wait_until(lambda: b"another process" in log.read_bytes(), message="a conflict")
    wait_until(lambda: len(read(lake / "landed_dead_letters")) == 2, message="it goes on")
    zombie.terminate()
    assert zombie.wait(60) == 0
    poison = {place for place, value in source.acked.items() if value and b"poison" in value}
    assert places(read(lake / "landed")) == sorted(set(source.acked) - poison)
    assert places(read(lake / "landed_dead_letters")) == sorted(poison)


def planned(lake: Path) -> int:
    """Return the number of the newest plan."""
    return max(int(file.stem) for file in (lake / "landed/_penstock/batches").glob("*.json"))
