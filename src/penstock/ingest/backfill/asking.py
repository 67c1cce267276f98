"""A backfill that a person asks for, and how far those of a table are.

    archive, since, until ─planned─▶ Plan, written once ─▶ Load        table's log ─progress─▶ Told

Guarantee: the same archive and times are the same backfill, so asking again goes on with one that
was killed, and does nothing when it is done. One backfill of a table at a time.
"""

from __future__ import annotations

import hashlib
from typing import Any

from penstock.errors import ConfigError, Refused
from penstock.ingest import delta
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import State, app_id
from penstock.ingest.backfill.pieces import Loads, Plan, cut
from penstock.ingest.locations import Location
from penstock.ingest.owners import Owner, is_gone
from penstock.ingest.progress import Told
from penstock.model import tables

__all__ = ["PIECE_ROWS", "named", "planned", "progress", "told_of"]

PIECE_ROWS = 100_000
"""Rows of a piece: one commit, and what is held in memory."""


def planned(
    table: tables.Table,
    place: Location,
    files: Files,
    *,
    since_ms: int = 0,
    until_ms: int = 0,
    piece_rows: int = PIECE_ROWS,
) -> Plan:
    """Return the plan of a backfill, written down; the one that is there when it was asked before.

    Args:
        table: the declaration.
        place: of the table.
        files: of the archive.
        since_ms: records from before are left out; 0 for none.
        until_ms: records from then on are left out; 0 for none.
        piece_rows: of one commit.

    Raises:
        ConfigError: when the archive has no files.
        Refused: when another backfill of the table is not done.
        NotReady: when a storage fails.
    """
    loads = Loads(place)
    asked = f"{files.place}|{since_ms}|{until_ms}".encode()
    name = f"backfill/{hashlib.sha256(asked).hexdigest()[:8]}"
    if (there := loads.read(name)) is not None:
        return there
    for told in progress(table, place):
        if told.state not in (State.DONE, State.CANCELLED):
            raise Refused(
                f"{told.name} of {told.source} into table {table.ident} is not done: {told.pieces} "
                f"of {told.of} pieces. Let it end, or: penstock table backfill {table.name} --cancel"
            )
    parts = files.parts(since_ms=since_ms, until_ms=until_ms, part_rows=piece_rows)
    return loads.write(
        Plan(
            name=name,
            source=str(files.place),
            pieces=cut(parts, rows=piece_rows),
            since_ms=since_ms,
            until_ms=until_ms,
        )
    )


def progress(table: tables.Table, place: Location) -> list[Told]:
    """Return how far every load of the table is.

    Raises:
        NotReady: when the storage fails.
    """
    loads = Loads(place)
    lake = delta.read_table(place)
    return [
        told_of(loads, plan, pieces=lake.last(app_id(table, plan.name)) if lake else 0)
        for name in loads.names()
        if (plan := loads.read(name)) is not None
    ]


def told_of(loads: Loads, plan: Plan, *, pieces: int | None = None) -> Told:
    """Return how far one load is.

    Args:
        loads: of the table.
        plan: of the load.
        pieces: in the table, by its own log; else what the load's process told last.

    Raises:
        NotReady: when the storage fails.
    """
    told = loads.told(plan.name)
    pieces = told.get("pieces", 0) if pieces is None else pieces
    state = _state(loads.asked(plan.name), told, pieces=pieces, of=len(plan.pieces))
    return Told(
        name=plan.name,
        source=plan.source,
        state=state,
        pieces=pieces,
        of=len(plan.pieces),
        rows_done=sum(part.rows for piece in plan.pieces[:pieces] for part in piece),
        rows_total=plan.rows,
        rows_per_s=told.get("rows_per_s", 0.0) if state == State.RUNNING else 0.0,
        **{k: told[k] for k in ("records", "rows", "letters", "error") if k in told},
    )


def named(table: tables.Table, place: Location) -> Told:
    """Return the one backfill of the table that is not done.

    Raises:
        ConfigError: when there is none.
    """
    known = progress(table, place)
    for told in sorted(known, key=lambda each: each.state == State.CANCELLED):
        if told.state != State.DONE:
            return told
    raise ConfigError(
        f"no backfill of table {table.ident} is under way. Begin one: penstock table backfill "
        f"{table.name} --from PATH"
    )


def _state(asked: str, told: dict[str, Any], *, pieces: int, of: int) -> str:
    if pieces >= of:
        return State.DONE
    if "owner" in told and is_gone(Owner(**told["owner"])):
        told = {}
    match asked:
        case "cancel":
            return State.CANCELLED
        case "pause":
            return State.PAUSED
        case _:
            return str(told.get("state", State.STOPPED))
