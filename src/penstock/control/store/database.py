"""The door to the database: transactions, and its failures as Penstock's errors.

    with database.write() as tx: …   one writer at a time, on both dialects
    with database.read() as tx: …    one consistent view

Writers are serialized on PostgreSQL too (an advisory lock), so that code above has one truth to
think about; the control plane writes little. Times come from the database's clock, so that the
clocks of several control planes need not agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Table, event, insert, text, update
from sqlalchemy import exc as sqlalchemy_errors

from penstock.errors import NotReady, PenstockError, RemoteError

__all__ = ["Database", "now_ms", "prepare_sqlite", "put", "translate_errors"]

_WRITER_LOCK = 0x70656E73  # "pens"; any constant that nobody else on the server uses
_IS_WRITER = "penstock_writer"

_NOW_MS = {
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    "postgresql": text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
}


class Database:
    """An open store; its methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        """Wrap an engine whose schema is current; `opening.open_store` makes one."""
        self._engine = engine
        self._writers = engine.execution_options(**{_IS_WRITER: True})
        self._readers = engine
        if engine.dialect.name == "postgresql":
            self._readers = engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that commits at the end, or rolls back when the body raises.

        Raises:
            NotReady: when the database is locked, full or cannot be reached.
            RemoteError: when it is damaged.
        """
        with translate_errors(str(self._engine.url)), self._writers.begin() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(text(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})"))
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a consistent view; nothing written in it is kept.

        Raises:
            NotReady: when the database is locked or cannot be reached.
            RemoteError: when it is damaged.
        """
        with translate_errors(str(self._engine.url)), self._readers.connect() as tx:
            yield tx

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()


def now_ms(tx: Connection) -> int:
    """Return the database's time."""
    return int(tx.execute(_NOW_MS[tx.dialect.name]).scalar_one())


def put(tx: Connection, table: Table, **values: Any) -> None:
    """Write a row by its primary key, new or not; writers are serialized, so nothing races."""
    keys = [column.name for column in table.primary_key]
    found = tx.execute(
        update(table)
        .where(*(table.c[key] == values[key] for key in keys))
        .values({name: value for name, value in values.items() if name not in keys} or values)
    )
    if found.rowcount == 0:
        tx.execute(insert(table).values(values))


def prepare_sqlite(engine: Engine, *, busy_timeout_ms: int) -> None:
    """Make SQLite behave as a server does: WAL, foreign keys, waiting, real transactions."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # None: the driver begins nothing by itself; on_begin does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get(_IS_WRITER, False)
        # A reader that turns writer cannot wait for its turn: SQLite fails it at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Raise what the database says as Penstock's errors."""
    try:
        yield
    except (sqlalchemy_errors.DatabaseError, sqlalchemy_errors.TimeoutError) as error:
        raise _translated(url, str(getattr(error, "orig", None) or error)) from error


def _translated(url: str, reason: str) -> PenstockError:
    where = f"the store at {url}"
    if "locked" in reason or "QueuePool" in reason:
        return NotReady(f"{where} is busy ({reason}); another process holds it: try again")
    if "disk is full" in reason or "No space left" in reason or "disk I/O" in reason:
        return NotReady(f"{where} cannot be written ({reason}); free disk space, then try again")
    if "not a database" in reason or "malformed" in reason:
        return RemoteError(
            f"{where} is damaged ({reason}); restore it from a backup, or move it away and apply "
            "the estate again (topics are adopted, nothing on the clusters is lost)"
        )
    if "readonly" in reason or "unable to open" in reason:
        return NotReady(f"{where} cannot be opened ({reason}); check the path and its permissions")
    if "append-only" in reason:
        return RemoteError(f"{where}: {reason.splitlines()[0]}; nothing may be changed in it")
    return NotReady(f"{where} does not answer ({reason}); check that it runs, then try again")
