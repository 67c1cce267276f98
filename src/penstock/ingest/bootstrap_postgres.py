"""A table's first rows straight out of PostgreSQL: one state of it, copied by several connections.

    place in the log M ─▶ every transaction older than M has ended ─▶ snapshot, exported
    key ranges ─▶ N connections of that one snapshot ─COPY─▶ Parquet below <table>/_penstock/bootstrap
                                                        └─▶ Load: rows with _sequence = M

Guarantee: whatever the snapshot does not have stands after M in the source's log, so no row of the
copy replaces what the topic has told or will tell. What a killed copy left is thrown away; a copy
that is whole is loaded by pieces, each once. The connector's slot must have been there before the
copy. Holds one transaction that only reads open in the source, for as long as the copy takes.
"""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import parquet

from penstock.errors import ConfigError, NotReady
from penstock.ingest import arrow_types, changes
from penstock.ingest.backfill import asking
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import State
from penstock.ingest.backfill.pieces import Loads, Plan, cut
from penstock.ingest.locations import Location
from penstock.ingest.verifying import postgres
from penstock.model import tables

__all__ = ["Copied", "Origin", "copied", "forget", "is_done", "planned"]

_DIRECTORY = "_penstock/bootstrap/postgres"
_WHOLE = f"{_DIRECTORY}/copied.json"
_LOAD = "backfill/postgres"
_PIECE_ROWS = 250_000
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is copied, and how.

    Attributes:
        url: of the database, as libpq takes it; the password by PGPASSWORD or a password file.
        table: ``schema.table``.
        parallel: how many connections.
        range_rows: rows of a file; so many a connection are held in memory.
        wait_s: how long transactions that are open already may take to end.
    """

    url: str
    table: str
    parallel: int = 4
    range_rows: int = 100_000
    wait_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A copy that is whole.

    Attributes:
        directory: of its files, below the table.
        table: what was copied.
        rows: how many.
        sequence: the place in the source's log that it stands at.
        taken_at_ms: the source's time then.
    """

    directory: str
    table: str
    rows: int
    sequence: int
    taken_at_ms: int


def copied(
    table: tables.Table,
    place: Location,
    origin: Origin,
    *,
    stopping: threading.Event,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Copied:
    """Copy the source's table; return the copy that is there already when there is one.

    Args:
        table: the declaration.
        place: of the table.
        origin: what to copy.
        stopping: gives up when set.
        progress: told how many key ranges are copied, and of how many, by the copying threads.

    Raises:
        ConfigError: when the source has no such table or columns, or the table cannot be copied.
        NotReady: when the source cannot be reached, or an old transaction does not end.
    """
    columns = _columns(table)
    if (there := place.get(_WHOLE)) is not None:
        return Copied(**json.loads(there))
    place.delete(*place.names(_DIRECTORY))
    directory = f"{_DIRECTORY}/{secrets.token_hex(4)}"
    with _translated(origin), psycopg.connect(origin.url, connect_timeout=10) as connection:
        sequence = _quiet_since(connection, origin, stopping)
        with _reading(connection):
            (exported, taken_at_ms) = _one(
                connection,
                "SELECT pg_export_snapshot(), (extract(epoch FROM now()) * 1000)::bigint",
            )
            key = table.merge.primary_key
            first = _snapshot(connection, origin, columns, key=key, mark=sequence)
            ranges = first.bounds(range_rows=origin.range_rows)
            marks, done = (sequence, taken_at_ms), itertools.count(1)

            def copy(number: int) -> int:
                own = list(enumerate(ranges))[number :: origin.parallel]
                with psycopg.connect(origin.url, connect_timeout=10) as other, _reading(other):
                    other.execute(
                        sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(exported))
                    )
                    source = _snapshot(other, origin, columns, key=key, mark=sequence)
                    rows = 0
                    for n, bounds in own:
                        if stopping.is_set():
                            break
                        file = f"{directory}/{n:06}.parquet"
                        rows += _write(place, file, source.read(bounds), marks)
                        progress(next(done), len(ranges))
                    return rows

            with ThreadPoolExecutor(origin.parallel, thread_name_prefix="copy") as pool:
                rows = sum(pool.map(copy, range(origin.parallel)))
    if stopping.is_set():
        raise NotReady(f"the copy of {origin.table} was stopped. It begins anew when asked again.")
    whole = Copied(
        directory=directory,
        table=origin.table,
        rows=rows,
        sequence=sequence,
        taken_at_ms=taken_at_ms,
    )
    place.put(_WHOLE, json.dumps(asdict(whole)).encode())
    return whole


def planned(place: Location, copy: Copied, *, piece_rows: int = _PIECE_ROWS) -> tuple[Plan, Files]:
    """Return what loads the copy, written down once, and the files it is of."""
    loads, files = Loads(place), Files(place.child(copy.directory))
    there = loads.read(_LOAD)
    if there is None:
        pieces = cut(files.parts(part_rows=piece_rows), rows=piece_rows)
        there = loads.write(Plan(name=_LOAD, source=copy.table, pieces=pieces))
    return there, files


def is_done(table: tables.Table, place: Location) -> bool:
    """Tell whether a copy is in the table already."""
    told = {each.name: each.state for each in asking.progress(table, place)}
    return told.get(_LOAD) == State.DONE


def forget(place: Location) -> None:
    """Remove the copy's files, once its rows are in the table."""
    names = place.names(_DIRECTORY)
    place.delete(*(name for name in names if name.endswith(".parquet")))


def _columns(table: tables.Table) -> pa.Schema:
    if table.mode is tables.TableMode.APPEND or not table.columns:
        raise ConfigError(
            f"table {table.ident} cannot begin with a copy of a database's table: it needs a mode "
            "that merges, and declared columns."
        )
    columns = arrow_types.schema(table.columns)
    nested = [field.name for field in columns if pa.types.is_nested(field.type)]
    if nested:
        raise ConfigError(
            f"columns {', '.join(nested)} of table {table.ident} are nested, which a copy does not "
            "read. Let the connector's initial snapshot bring the rows."
        )
    return columns


def _quiet_since(
    connection: psycopg.Connection[Any], origin: Origin, stopping: threading.Event
) -> int:
    """Return a place in the log that every transaction still to come, or still open, is after."""
    connection.autocommit = True
    (sequence,) = _one(connection, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    # A number of our own: those of transactions that write and are open already are smaller. (The
    # snapshot's xmax would not do: it is only above those that have ended.)
    (limit,) = _one(connection, "SELECT pg_current_xact_id()::text::bigint")
    deadline = time.monotonic() + origin.wait_s
    oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    while _one(connection, oldest)[0] <= limit:
        if time.monotonic() > deadline or stopping.wait(_LOOK_EVERY_S):
            raise NotReady(
                f"a transaction that writes has been open in the source for {origin.wait_s:g} s. "
                "See pg_stat_activity; when it has ended, try again."
            )
    connection.autocommit = False
    return int(sequence)


@contextmanager
def _reading(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Open a transaction that sees one state and only reads."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield


def _snapshot(
    connection: psycopg.Connection[Any],
    origin: Origin,
    columns: pa.Schema,
    *,
    key: Sequence[str],
    mark: int,
) -> postgres.Snapshot:
    return postgres.Snapshot(
        mark=mark,
        rows=0,
        _connection=connection,
        _table=sql.Identifier(*origin.table.split(".")),
        _columns=columns,
        _key=tuple(key),
    )


def _write(place: Location, name: str, rows: pa.Table, marks: tuple[int, int]) -> int:
    """Write the rows of a range, with their marks; return how many."""
    sequence, taken_at_ms = marks
    time_type = changes.CONTROL.field(changes.TIME).type
    told = {
        changes.SEQUENCE: pa.scalar(sequence, pa.int64()),
        changes.TIME: pa.scalar(taken_at_ms * 1000, pa.int64()).cast(time_type),
    }
    for column, value in told.items():
        rows = rows.append_column(column, pa.repeat(value, rows.num_rows))
    out = BytesIO()
    parquet.write_table(rows, out, compression="zstd")
    place.put(name, out.getvalue())
    return int(rows.num_rows)


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    # Any: a row of psycopg's; the callers know its columns.
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise AssertionError("the query has one row")
    return row


@contextmanager
def _translated(origin: Origin) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise NotReady(
            f"the source database cannot be read: {str(error).splitlines()[0]}. Check its address, "
            "that it runs, and the password in PGPASSWORD or the password file."
        ) from error
    except psycopg.Error as error:
        raise ConfigError(
            f"table {origin.table} cannot be copied: {str(error).splitlines()[0]}. Check the name, "
            "the declared columns and that the user may select from it."
        ) from error
