"""How far a load is, for whoever looks from outside."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ingest.backfill.worlds import load_of, shop, write_rows

from penstock.ingest.backfill.pieces import Loads
from penstock.ingest.backfill.watching import Watching
from penstock.ingest.locations import locate
from penstock.ingest.progress import Told
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


def test_a_load_is_told_while_it_runs_when_it_was_killed_and_when_it_is_done(
    run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    lake, archive, table = tmp_path / "lake", tmp_path / "archive", shop("t")
    rows = [{"id": n, "v": n, "note": ""} for n in range(40)]
    write_rows(archive / "a.parquet", rows, row_group_size=10)
    place = locate("shop", lake=lake)
    watching = Watching(lake=lake, running=lambda: {table.ident: table})

    def told() -> Told:
        watching.look()
        (found,) = watching.found[table.ident]
        return found

    watching.look()
    assert watching.found == {table.ident: ()}
    assert run_beside(what="load", topic="t", die="merge-before", at=3).wait(100) == -signal.SIGKILL
    killed = told()
    assert (killed.state, killed.pieces, killed.of) == ("stopped", 2, 4)
    assert (killed.rows_done, killed.rows_total, killed.rows_per_s) == (20, 40, 0.0)

    Loads(place).ask(killed.name, "pause")
    assert told().state == "paused"
    Loads(place).resume(killed.name)
    load = load_of(table, lake, archive, rate=20)
    running = threading.Thread(target=load.run)
    running.start()
    wait_until(lambda: told().rows_done == 30, message="the third piece")
    assert (told().state, told().rows_per_s > 0) == ("running", True)
    running.join(60)
    done = told()
    assert (done.state, done.rows_done, done.rows_total) == ("done", 40, 40)
