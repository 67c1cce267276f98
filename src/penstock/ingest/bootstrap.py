"""A table's first rows, out of a snapshot of its source; then its topic, from before the snapshot.

    Bootstrap(snapshot, taken_at) ─1─▶ plan 1: positions of taken_at - margin   (written, not run)
                                  ─2─▶ Load "bootstrap": the snapshot's rows, piece by piece
                                  ─3─▶ plan 1 is run: the topic goes on from there

Guarantee: after a kill at any point the next start goes on where it was, and each row is loaded
once. The positions are looked up before the first row is loaded, so records that the cluster deletes
meanwhile are gaps that are told. A merged table ends equal to its source: a row of the snapshot is
older than every record that is not in it. Does nothing to a table that has a batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from penstock.errors import Conflict, Refused
from penstock.ingest import letters
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import Load, State
from penstock.ingest.backfill.pieces import Loads, Plan, cut
from penstock.ingest.ledger import BatchPlan, Kind, Ledger
from penstock.ingest.locations import Location, locate
from penstock.ingest.plan import Positions
from penstock.model import tables

__all__ = ["NAME", "prepare"]

NAME = "bootstrap"
"""Of the load, and of the request that the table's first plan carries out."""
_PIECE_ROWS = 250_000


def prepare(
    table: tables.Table,
    place: Location,
    *,
    last: int,
    lake: Path | str,
    at_time: Callable[[int], Positions],
    clock: Callable[[], datetime],
    stopping: threading.Event,
) -> bool:
    """Load the snapshot of a table that has no batch; tell whether the table may go on.

    To be called before a plan that is not committed is run again, which then is plan 1.

    Args:
        table: the declaration; without a snapshot nothing is done.
        place: of the table.
        last: number of its last batch.
        lake: what declared paths are below.
        at_time: gives the positions of a time, ms since 1970.
        clock: gives the time.
        stopping: ends it after the piece it is in.

    Returns:
        False when it was asked to stop before everything was loaded.

    Raises:
        ConfigError: when there is no snapshot at the path.
        NotReady: when a cluster or a storage fails.
        Refused: when the snapshot's rows are not what the table takes, or it was cancelled.
    """
    if not table.bootstrap.snapshot or last:
        return True
    ledger = Ledger(place)
    first = ledger.read(1)
    if first is not None and first.request != NAME:
        return True  # the table has begun without a snapshot
    files = Files(locate(table.bootstrap.snapshot, lake=lake))
    planned = _planned(table, place, files)
    if first is None:
        _begin(table, ledger, at_time)
    load = Load(
        table,
        planned,
        files,
        place=place,
        letters_place=letters.location(table, place, lake=lake),
        clock=clock,
        stopping=stopping,
    )
    state = load.run().state
    if state is State.CANCELLED:
        raise Refused(
            f"the bootstrap of table {table.ident} was cancelled. Let it go on (penstock table "
            f"backfill {table.name} --resume, then start ingest anew), or declare no snapshot."
        )
    return state is State.DONE


def _planned(table: tables.Table, place: Location, files: Files) -> Plan:
    loads = Loads(place)
    there = loads.read(NAME)
    if there is not None:
        return there
    parts = files.parts(part_rows=_PIECE_ROWS)
    return loads.write(
        Plan(
            name=NAME,
            source=str(files.place),
            pieces=cut(parts, rows=_PIECE_ROWS),
            taken_at_ms=table.bootstrap.taken_at_ms,
        )
    )


def _begin(table: tables.Table, ledger: Ledger, at_time: Callable[[int], Positions]) -> None:
    """Write the first plan: no records, and where the topic is read from."""
    begun = table.bootstrap
    from_ms = max(0, begun.taken_at_ms - begun.margin_ms)
    end = at_time(from_ms) if begun.taken_at_ms else {}
    try:
        ledger.write(BatchPlan(number=1, begin={}, end=end, kind=Kind.RESET, request=NAME))
    except Conflict:
        return  # another process has begun: the same plan, made a moment before
