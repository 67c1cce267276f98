"""A backfill that a person asks for, and how far those of a table are.

    archive, since, until ─planned─▶ Plan, written once ─▶ Load        table's log ─progress─▶ Told

Guarantee: the same archive and times are the same backfill, so asking again goes on with one that
was killed, and does nothing when it is done. One backfill of a table at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from penstock.errors import ConfigError, Refused
from penstock.ingest import delta
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import State, app_id
from penstock.ingest.backfill.pieces import Loads, Plan, cut
from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = ["PIECE_ROWS", "Told", "named", "planned", "progress"]

PIECE_ROWS = 100_000
"""Rows of a piece: one commit, and what is held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How far a load of a table is.

    Attributes:
        name: ``bootstrap`` or ``backfill/<id>``.
        pieces: in the table, by its own log.
        records: looked at, as the last process told.
        rows: of them, how many came to rows, as it told.
        letters: dead letters, as it told.
        error: why it waits.
    """

    name: str
    source: str
    state: str
    pieces: int
    of: int
    records: int = 0
    rows: int = 0
    letters: int = 0
    error: str = ""


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
    found: list[Told] = []
    for name in loads.names():
        plan = loads.read(name)
        if plan is None:
            continue
        pieces = lake.last(app_id(table, name)) if lake is not None else 0
        told = loads.told(name)
        found.append(
            Told(
                name=name,
                source=plan.source,
                state=_state(loads.asked(name), told, pieces=pieces, of=len(plan.pieces)),
                pieces=pieces,
                of=len(plan.pieces),
                **{k: told[k] for k in ("records", "rows", "letters", "error") if k in told},
            )
        )
    return found


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


def _state(asked: str, told: dict[str, object], *, pieces: int, of: int) -> str:
    if pieces >= of:
        return State.DONE
    match asked:
        case "cancel":
            return State.CANCELLED
        case "pause":
            return State.PAUSED
        case _:
            return str(told.get("state", State.STOPPED))
