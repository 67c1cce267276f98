"""A turn at a busy table ends with its holder, and never touches a person's pause."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tests.ingest.backfill.worlds import load_of, shop, write_rows
from tests.ingest.sources import Source, places, read
from tests.ingest.workers import working

from penstock.errors import Conflict, DataError
from penstock.ingest import owners, turns
from penstock.ingest.backfill.beside import BesideTarget
from penstock.ingest.leases import Lease
from penstock.ingest.locations import Location, locate
from penstock.ingest.orders import Orders, Watch
from penstock.ingest.progress import State
from penstock.ingest.targets import Outcome
from penstock.ingest.turns import Turn
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


@contextmanager
def taken(place: Location, name: str) -> Iterator[Turn]:
    turn = Turn(place, name)
    turn.take()
    try:
        yield turn
    finally:
        turn.give_back()


def watch(place: Location) -> Watch:
    return Watch(Orders(place), turns.look_out(place), threading.Event())


def test_a_killed_holder_s_turn_is_over(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    with working(source, tmp_path / "lake") as worker:
        source.send_rows(3, cluster="primary")
        wait_until(lambda: worker.progress.rows == 3, message="3 rows")
        holder = run_beside(what="turn", path="landed")
        wait_until(lambda: worker.progress.state is State.YIELDING, message="the turn")
        assert worker.progress.turn.startswith("backfill/held of ")
        source.send_rows(3, cluster="primary", first=3)
        holder.kill()
        assert holder.wait(30) == -signal.SIGKILL
        wait_until(lambda: worker.progress.rows == 6, message="it goes on by itself")
        assert worker.progress.turn == ""
    assert places(read(tmp_path / "lake" / "landed")) == sorted(source.acked)


def test_a_person_s_pause_outlives_a_turn(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    place = locate("landed", lake=tmp_path / "lake")
    with working(source, tmp_path / "lake") as worker:
        holder = run_beside(what="turn", path="landed")
        wait_until(lambda: worker.progress.state is State.YIELDING, message="the turn")
        Orders(place).pause()
        wait_until(lambda: worker.progress.state is State.PAUSED, message="the pause")
        assert worker.progress.turn, "both hold the table"
        holder.terminate()
        assert holder.wait(30) == 0
        wait_until(lambda: worker.progress.turn == "", message="the turn is over")
        assert worker.progress.state is State.PAUSED
        Orders(place).resume()
        wait_until(lambda: worker.progress.state is State.RUNNING, message="resumed")


def test_resuming_ends_no_turn(tmp_path: Path) -> None:
    place = locate("shop", lake=tmp_path)
    with taken(place, "backfill/a"):
        Orders(place).resume()
        assert watch(place).still
    assert not watch(place).still


def test_one_load_at_a_time_has_its_turn(tmp_path: Path) -> None:
    place = locate("shop", lake=tmp_path)
    with taken(place, "backfill/a"):
        with taken(place, "backfill/b"):
            turn = watch(place).turn
        assert turn is not None
        assert turn.name.startswith("backfill/a of ")
        assert watch(place).still, "only its holder gives it back"


def test_a_stream_that_came_in_between_is_asked_sooner_for_the_next_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = locate("shop", lake=tmp_path)
    tries: Counter[int] = Counter()
    commit = BesideTarget.commit

    def beaten_unless_it_stands_still(target: BesideTarget, number: int, rows: pa.Table) -> Outcome:
        tries[number] += 1
        if not watch(place).still:
            raise Conflict("a live batch came in between")
        return commit(target, number, rows)

    monkeypatch.setattr(BesideTarget, "commit", beaten_unless_it_stands_still)
    rows = [{"id": n, "v": n, "note": "archived", "_sequence": n} for n in range(30)]
    write_rows(tmp_path / "archive" / "a.parquet", rows, row_group_size=10)
    load = load_of(shop("orders"), tmp_path, tmp_path / "archive", piece_rows=10)
    assert load.run().pieces == 3
    assert tries == {1: 4, 2: 2, 3: 2}
    assert not watch(place).still


def test_a_turn_of_another_machine_that_nobody_renews_is_over(tmp_path: Path) -> None:
    place = locate("shop", lake=tmp_path)
    elsewhere = replace(owners.me(), machine="another")
    holder = Lease(place, owner=elsewhere, lasts_s=20, directory="_penstock/turn")
    assert holder.take()
    now = [0.0]
    live = Lease(
        place, owner=owners.me(), lasts_s=20, directory="_penstock/turn", clock=lambda: now[0]
    )
    looked = Watch(Orders(place), live, threading.Event())
    now[0] = 15
    assert holder.renew()
    looked.look()
    now[0] = 30
    looked.look()
    assert looked.still, "it was renewed 15 s ago"
    now[0] = 36
    looked.look()
    assert not looked.still
    assert not watch(place).still, "one that looks for the first time need not wait again"
    assert not holder.renew(), "it was too late"


def test_an_archive_of_poison_stops_the_backfill(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.jsonl").write_text("{poison\n" * 1_200)
    load = load_of(shop("t"), tmp_path, tmp_path / "a", piece_rows=10_000)
    with pytest.raises(DataError, match="1200 of the latest 1200"):
        load.run()
    assert not (tmp_path / "shop_dead_letters").exists()
