"""Every acked record is one row, whatever is killed and whoever else writes."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.sources import Source, good, places, read

from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


def landed(lake: Path) -> list[dict[str, Any]]:
    return read(lake / "landed")


def test_rows_of_every_cluster_land_with_their_coordinates(
    source: Source, run_worker: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source.send_rows(50, cluster="primary")
    source.send_rows(50, cluster="standby", first=50)
    run_worker(source)
    wait_until(lambda: len(landed(tmp_path / "lake")) >= 100, message="100 rows")
    rows = landed(tmp_path / "lake")
    assert places(rows) == sorted(source.acked)
    assert {row["id"] for row in rows} == {f"r{n}" for n in range(100)}
    assert all(row["day"] == row["at"].date() and row["key"] == "k" for row in rows)


@pytest.mark.parametrize("point", ["planned", "before", "after", "between", "before-letters"])
def test_a_kill_around_a_commit_neither_loses_nor_doubles(
    source: Source, run_worker: Start, wait_until: WaitUntil, tmp_path: Path, point: str
) -> None:
    bad: list[bytes | None] = [b"null", None, b'{"id": "x", "n": "no number"}']
    for _ in range(3):
        for cluster in ("primary", "standby"):
            source.send([*bad, *(good(n) for n in range(20))], cluster=cluster)
        process = run_worker(source, die=point)
        assert process.wait(60) == -signal.SIGKILL
    run_worker(source)
    wait_until(lambda: len(landed(tmp_path / "lake")) >= 120, message="120 rows")
    assert_each_acked_record_is_told_once(source, tmp_path / "lake")


def test_kills_at_random_moments_under_load_neither_lose_nor_double(
    source: Source, run_worker: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """Rounds of kills while records come in on both clusters.

    Each comes the moment the n-th new data file appears, n by chance: a commit writes three or
    four, so most of them are written and not committed, or only some of a commit's are.
    """
    chance = random.Random(2026)
    lake = tmp_path / "lake"
    enough = threading.Event()

    def load() -> None:
        for n in itertools.count(0, 100):
            values: list[bytes | None] = [good(m) for m in range(n, n + 99)]
            source.send([*values, b"poison"], cluster=chance.choice(["primary", "standby"]))
            if enough.is_set():
                return

    loader = threading.Thread(target=load)
    loader.start()
    for _ in range(12):
        before, count = data_files(lake), chance.randint(1, 25)
        process = run_worker(source)
        wait_until(
            lambda: len(data_files(lake) - before) >= count,  # noqa: B023
            message=f"{count} data files",
        )
        process.kill()
        process.wait()
    enough.set()
    loader.join()
    run_worker(source)
    goods = sum(map(is_good, source.acked.values()))
    wait_until(lambda: len(landed(lake)) >= goods, timeout_s=120, message=f"{goods} rows")
    assert_each_acked_record_is_told_once(source, lake)


def data_files(lake: Path) -> set[Path]:
    return set(lake.rglob("*.parquet"))


def test_two_processes_on_one_table_do_not_double(
    source: Source, run_worker: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """Records come in until the two have met in a commit, and then for a while longer."""
    lake = tmp_path / "lake"
    both = [run_worker(source, compact_commits=3) for _ in range(2)]
    sent = itertools.count(0, 50)

    def send_and_look() -> bool:
        n = next(sent)
        values: list[bytes | None] = [*(good(m) for m in range(n, n + 49)), b"poison"]
        source.send(values, cluster="primary" if n % 100 else "standby")
        log = (tmp_path / "worker.log").read_bytes()
        # They meet in the plan of a batch, or in its commit.
        return b"is planned already" in log or b"another process has written" in log

    wait_until(send_and_look, timeout_s=120, message="a conflict")
    for _ in range(20):
        send_and_look()
    goods = sum(map(is_good, source.acked.values()))
    wait_until(lambda: len(landed(lake)) >= goods, timeout_s=120, message=f"{goods} rows")
    for process in both:
        process.terminate()
        assert process.wait(60) == 0
    assert_each_acked_record_is_told_once(source, lake)


def assert_each_acked_record_is_told_once(source: Source, lake: Path) -> None:
    rows, letters = landed(lake), read(lake / "landed_dead_letters")
    assert places(rows) == sorted(p for p, value in source.acked.items() if is_good(value))
    assert places(letters) == sorted(p for p, value in source.acked.items() if not is_good(value))
    for letter in letters:
        place = (letter["cluster"], letter["partition"], letter["offset"])
        assert letter["value"] == source.acked[place]
        assert letter["reason"]


def is_good(value: bytes | None) -> bool:
    return value is not None and value.startswith(b'{"id": "r')
