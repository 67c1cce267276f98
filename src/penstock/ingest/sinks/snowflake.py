"""Copies a table of the lake to Snowflake: whole once, then by its change data feed.

    position (in Snowflake) ─missing─▶ whole table, or a span of versions
         ▲                                 └─▶ Parquet files ─PUT─▶ a stage ─COPY INTO─▶ staging table
         └── one transaction: changed rows deleted · their new state inserted · position moved ◀──┘

Guarantee: the copy is what the table was at the version its position tells, hard deletes included,
and readers never see anything in between. A copy that is killed at any point is made again from its
position: what it staged is not used again. Two that run at once: the second finds the position
moved and changes nothing (`Conflict`). Memory is bounded by a file's size, whatever is copied. Never
touches a table that it did not make.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyarrow import compute

from penstock.errors import ConfigError, Conflict, NotReady, PenstockError, Refused, RemoteError
from penstock.ingest import delta
from penstock.ingest.locations import Location
from penstock.ingest.sinks import feed, snowflake_sql, snowflake_types, staging, versions
from penstock.ingest.sinks.snowflake_client import Client
from penstock.ingest.sinks.versions import Position, Span
from penstock.model import tables

__all__ = ["Copied", "copy", "default_name"]

_LOADED = 3  # where a COPY INTO tells how many rows it loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy did.

    Attributes:
        table: its name in Snowflake.
        version: of the Delta table that it is equal to now.
        whole: whether every row was copied, not only changes.
        changes: rows that were staged.
        inserted: rows written there, new ones and new states of old ones.
        deleted: rows removed there, old states included.
    """

    table: str
    version: int
    whole: bool = False
    changes: int = 0
    inserted: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """One copy under way."""

    client: Client
    lake: delta.LakeTable
    name: str
    key: tuple[str, ...]
    columns: tuple[snowflake_types.Column, ...]
    told: Callable[[str], None]

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}


def default_name(table: tables.Table) -> str:
    """Return the name of a table's copy."""
    return table.name.replace("-", "_").upper()


def copy(
    table: tables.Table,
    place: Location,
    client: Client,
    *,
    name: str = "",
    full: bool = False,
    told: Callable[[str], None] = lambda _step: None,
) -> Copied:
    """Make the copy equal to the table as it is now.

    Args:
        table: the declaration; its primary key decides how changes are applied.
        place: where the table is.
        client: a session in the schema to copy to.
        name: of the table there, else `default_name`.
        full: copy every row, also when the feed would do.
        told: told of each step, once it is done.

    Raises:
        ConfigError: when the table keeps no change feed.
        Refused: when the feed does not reach back to the position, when the columns changed in a way
            the copy cannot follow, or when there is a table of that name that is no copy.
        Conflict: when another process copies the same table.
        NotReady: when the lake or Snowflake cannot be reached.
    """
    run = _begun(table, place, client, name=name or default_name(table), told=told)
    position = _position(run)
    newest, source = run.lake.version, feed.identity(run.lake)
    lacks = versions.missing(position, source=source, newest=newest, full=full)
    if lacks == versions.WHOLE:
        return _whole(run, position)
    if position is not None and lacks:
        _evolve(run, position.columns)
    return _follow(run, lacks)


def _begun(
    table: tables.Table,
    place: Location,
    client: Client,
    *,
    name: str,
    told: Callable[[str], None],
) -> _Copy:
    lake = delta.read_table(place)
    if lake is None:
        raise NotReady(f"nothing is at {place} yet. Start ingest, then copy.")
    key = table.merge.primary_key
    if key and not feed.has_feed(lake):
        raise ConfigError(
            f"table {table.ident} keeps no change data feed, so updates and deletes are not known. "
            "Declare change-feed: true for it."
        )
    return _Copy(
        client=client,
        lake=lake,
        name=name,
        key=tuple(each.upper() for each in key),
        columns=snowflake_types.columns(lake.schema),
        told=told,
    )


def _position(run: _Copy) -> Position | None:
    run.client.run(snowflake_sql.create_positions())
    found = run.client.run(snowflake_sql.read_position(), (run.name,))
    if len(found) > 1:
        raise Conflict(
            f"{snowflake_sql.POSITIONS} has {len(found)} positions of {run.name}: two first copies "
            "ran at once. Delete them, drop the table, and copy it again."
        )
    if not found:
        return None
    source, version, columns = found[0]
    at = None if version is None else int(version)
    return Position(source=source, version=at, columns=json.loads(columns))


def _whole(run: _Copy, position: Position | None) -> Copied:
    """Put every row in place of those that are there."""
    if position is None:
        _demand_unknown(run)
        _note(run, snowflake_sql.insert_position(), (run.name,))
    with _staging(run) as table:
        changes = _load(run, table, feed.rows(run.lake))
        former = _prepared(run, position)
        with run.client.transaction():
            deleted = run.client.count(snowflake_sql.empty(run.name))
            run.told("deleted")
            inserted = 0
            if changes:
                sql = snowflake_sql.insert_rows(run.name, table, run.columns)
                inserted = run.client.count(sql)
            run.told("inserted")
            _move(run, former=former, version=run.lake.version)
        run.told("committed")
    return Copied(
        table=run.name,
        version=run.lake.version,
        whole=True,
        changes=changes,
        inserted=inserted,
        deleted=deleted,
    )


def _demand_unknown(run: _Copy) -> None:
    sql = (
        "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES "
        "WHERE TABLE_SCHEMA = CURRENT_SCHEMA() AND TABLE_NAME = ?"
    )
    if run.client.run(sql, (run.name,)):
        raise Refused(
            f"there is a table {run.name} that is no copy of Penstock's. Give the copy another name "
            "(--table), or drop that table."
        )


def _note(run: _Copy, sql: str, values: tuple[object, ...]) -> None:
    run.client.run(sql, (*values, feed.identity(run.lake), json.dumps(run.types)))


def _prepared(run: _Copy, position: Position | None) -> int | None:
    """Give the copy's table the columns of now; return the version that its position tells then."""
    run.client.run(snowflake_sql.create_table(run.name, run.columns))
    if position is None:
        return None
    try:
        _evolve(run, position.columns)
    except Refused:
        # From here to the end of the transaction the table is empty. The position says so, with the
        # former columns: a copy that finds it makes the table anew once more.
        _move(run, former=position.version, version=None, columns=position.columns)
        run.client.run(snowflake_sql.create_table(run.name, run.columns, replace=True))
        return None
    return position.version


def _evolve(run: _Copy, written: Mapping[str, str]) -> None:
    evolution = snowflake_types.evolve(written, run.columns)
    for column in evolution.added:
        run.client.run(snowflake_sql.add_column(run.name, column))
    for column in evolution.widened:
        run.client.run(snowflake_sql.widen_column(run.name, column))


def _follow(run: _Copy, spans: Iterable[Span]) -> Copied:
    """Carry out the changes, a transaction a span."""
    changes = inserted = deleted = 0
    for span in spans:
        with _staging(run) as table:
            staged = _load(run, table, _allowed(run, feed.changes(run.lake, span)))
            with run.client.transaction():
                if staged and run.key:
                    sql = snowflake_sql.remove_changed(run.name, table, run.key)
                    deleted += run.client.count(sql)
                run.told("deleted")
                if staged:
                    sql = snowflake_sql.insert_rows(run.name, table, run.columns, key=run.key)
                    inserted += run.client.count(sql)
                run.told("inserted")
                _move(run, former=span.first - 1, version=span.last)
            run.told("committed")
        changes += staged
    return Copied(
        table=run.name,
        version=run.lake.version,
        changes=changes,
        inserted=inserted,
        deleted=deleted,
    )


def _allowed(run: _Copy, changes: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield changes that can be applied: without a key only inserts can."""
    for piece in changes:
        if not run.key and not compute.all(compute.equal(piece[feed.CHANGE], "insert")).as_py():
            raise Refused(
                f"rows of the table at {run.lake.place} were changed or deleted, and it has no "
                "primary key to find them by. Copy the whole table anew: --full."
            )
        yield piece


def _move(
    run: _Copy,
    *,
    former: int | None,
    version: int | None,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Move the position, unless another process has.

    The last statement of its transaction: the copies of a schema's tables share what it locks.
    """
    state = (version, feed.identity(run.lake), json.dumps(columns or run.types), run.name)
    values = state if former is None else (*state, former)
    if run.client.count(snowflake_sql.move_position(former=former), values) != 1:
        raise Conflict(
            f"another process has copied {run.name} meanwhile; nothing was changed. Let one process "
            "copy a table."
        )


@contextmanager
def _staging(run: _Copy) -> Iterator[str]:
    """Give a staging table of this copy's own, and drop it with those that killed copies left."""
    now_s = int(time.time())
    table = snowflake_sql.staging_name(now_s, secrets.token_hex(6))
    sql = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = CURRENT_SCHEMA()"
    names = [row[0] for row in run.client.run(sql)]
    for left in snowflake_sql.leftovers(names, now_s=now_s):
        run.client.run(snowflake_sql.drop(left))
    run.client.run(snowflake_sql.create_staging(table, run.columns))
    try:
        yield table
    finally:
        # It holds nobody up; the next day's copy drops it where this one cannot.
        with suppress(PenstockError):
            run.client.run(snowflake_sql.drop(table))


def _load(run: _Copy, table: str, pieces: Iterable[pa.Table]) -> int:
    """Stage the rows and load them; return how many they are."""
    count = 0
    with TemporaryDirectory(prefix="penstock-copy-") as directory:
        for piece in pieces:
            # A name that was loaded once is passed over in silence, so none is used again.
            path = Path(directory) / f"{secrets.token_hex(12)}.parquet"
            staging.write(staging.staged(piece, run.columns), path)
            run.client.run(snowflake_sql.put(str(path), table))
            path.unlink()
            count += piece.num_rows
            run.told("staged")
    if not count:
        return 0
    loaded = sum(int(row[_LOADED]) for row in run.client.run(snowflake_sql.load(table)))
    if loaded != count:
        raise RemoteError(
            f"Snowflake loaded {loaded} of {count} rows; nothing was changed. Try again, and look at "
            "its COPY_HISTORY if it happens again."
        )
    run.told("loaded")
    return count
