"""The source side of a comparison: a PostgreSQL table, read at one place of its log.

    mark ─▶ snapshot + LSN ─bounds─▶ key ranges ─COPY … CSV─▶ Arrow, typed as the lake's table

Reads in a transaction that sees one state of the table for as long as it is open. The LSN is read
after the snapshot was taken: whatever the log has after it, the snapshot has not. (A transaction
that wrote before the LSN and committed after the snapshot is the rare opposite; a second round tells
it from a fault.) Text keys are ordered by their bytes, as the lake orders them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

from penstock.errors import ConfigError, NotReady

__all__ = ["Bounds", "Snapshot", "confirmed", "opened"]

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_BYTE_ORDERED = (pa.string(),)
_CONFIRMED = """
SELECT (confirmed_flush_lsn - '0/0')::bigint, active FROM pg_replication_slots WHERE slot_name = %s
"""

Bounds = tuple[tuple[str, ...] | None, tuple[str, ...] | None]
"""Keys ``after < key <= last``, as text; None for no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of one table, open for reading.

    Attributes:
        mark: the LSN at which it stood, as a number.
        rows: how many there are.
    """

    mark: int
    rows: int
    _connection: psycopg.Connection[Any]
    _table: sql.Identifier
    _columns: pa.Schema
    _key: tuple[str, ...]

    def bounds(self, *, range_rows: int) -> list[Bounds]:
        """Cut the keys into ranges of about so many rows, each beginning after the last one's end."""
        keys = sql.SQL(", ").join(self._ordered(name) for name in self._key)
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(k)) for k in self._key)
        ends = self._connection.execute(
            sql.SQL(
                "SELECT {texts} FROM (SELECT *, row_number() OVER (ORDER BY {keys}) AS n FROM {table})"
                " numbered WHERE n %% %s = 0 ORDER BY n"
            ).format(texts=texts, keys=keys, table=self._table),
            (range_rows,),
        ).fetchall()
        lows = [None, *(tuple(end) for end in ends)]
        return list(zip(lows, [*lows[1:], None], strict=True))

    def read(self, bounds: Bounds) -> pa.Table:
        """Return the rows of a range, with the lake's columns and types."""
        names = sql.SQL(", ").join(
            _as_text(field, sql.Identifier(field.name)) for field in self._columns
        )
        after, last = bounds
        where: list[sql.Composable] = [sql.SQL("true")]
        if after is not None:
            where.append(sql.SQL("{} > {}").format(self._keys(), _literals(after)))
        if last is not None:
            where.append(sql.SQL("{} <= {}").format(self._keys(), _literals(last)))
        query = sql.SQL("COPY (SELECT {names} FROM {table} WHERE {where}) TO STDOUT (FORMAT csv)")
        text = BytesIO()
        with (
            self._connection.cursor() as cursor,
            cursor.copy(
                query.format(names=names, table=self._table, where=sql.SQL(" AND ").join(where))
            ) as copy,
        ):
            for piece in copy:
                text.write(piece)
        return _parse(text, self._columns)

    def _ordered(self, name: str) -> sql.Composable:
        column = sql.Identifier(name)
        if self._columns.field(name).type in _BYTE_ORDERED:
            return sql.SQL('{}::text COLLATE "C"').format(column)
        return column

    def _keys(self) -> sql.Composed:
        names = sql.SQL(", ").join(self._ordered(name) for name in self._key)
        return sql.SQL("({})").format(names)


@contextmanager
def opened(url: str, table: str, *, columns: pa.Schema, key: Sequence[str]) -> Iterator[Snapshot]:
    """Open one state of a table for the length of the block.

    Args:
        url: of the database, as libpq takes it; the password by PGPASSWORD or a password file.
        table: ``schema.table``.
        columns: what to read, with the lake's types.
        key: the primary key's columns.

    Raises:
        NotReady: when the database cannot be reached.
        ConfigError: when it has no such table or columns.
    """
    name = sql.Identifier(*table.split("."))
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                (rows,) = _one(connection, sql.SQL("SELECT count(*) FROM {}").format(name))
                (mark,) = _one(
                    connection, sql.SQL("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
                )
                yield Snapshot(
                    mark=mark,
                    rows=rows,
                    _connection=connection,
                    _table=name,
                    _columns=columns,
                    _key=tuple(key),
                )
    except psycopg.OperationalError as error:
        raise NotReady(
            f"the source database cannot be read: {_first_line(error)}. Check its address, that it "
            "runs, and the password in PGPASSWORD or the password file."
        ) from error
    except psycopg.Error as error:
        raise ConfigError(
            f"table {table} cannot be read from the source database: {_first_line(error)}. Check "
            "the name, the columns and that the user may select from it."
        ) from error


def confirmed(url: str, slot: str) -> tuple[int, bool]:
    """Return the place in the log that a slot's reader has confirmed, and whether it is there now.

    Raises:
        NotReady: when the database cannot be asked, or has no such slot.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            row = connection.execute(_CONFIRMED, (slot,)).fetchone()
    except psycopg.OperationalError as error:
        raise NotReady(
            f"the source database cannot be asked: {_first_line(error)}. Start it, then try again."
        ) from error
    if row is None:
        raise NotReady(
            f"the source has no replication slot {slot!r}. See penstock connector status."
        )
    place, active = row
    return place, active


def _one(connection: psycopg.Connection[Any], query: sql.SQL | sql.Composed) -> Any:
    # Any: a row of psycopg's; the callers know its one column.
    row = connection.execute(query).fetchone()
    if row is None:
        raise AssertionError("the query has one row")
    return row


def _as_text(field: pa.Field, name: sql.Identifier) -> sql.Composable:
    """Return the expression that writes a column so that Arrow reads the same value back."""
    kind = field.type
    if kind == _TIMESTAMP:
        # Exact since PostgreSQL 14, where extract gives a numeric.
        return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(name)
    if pa.types.is_binary(kind):
        return sql.SQL("encode({}, 'hex')").format(name)
    if pa.types.is_nested(kind):
        return sql.SQL("to_json({})::text").format(name)
    return sql.SQL("{}::text").format(name)


def _literals(values: Sequence[str]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(value) for value in values))


def _parse(text: BytesIO, columns: pa.Schema) -> pa.Table:
    if not text.tell():
        return columns.empty_table()
    text.seek(0)
    read = csv.read_csv(
        text,
        read_options=csv.ReadOptions(column_names=columns.names, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={field.name: _read_as(field.type) for field in columns},
            null_values=[""],
            strings_can_be_null=True,
            # COPY writes an empty text in quotes and NULL without.
            quoted_strings_can_be_null=False,
            true_values=["true", "t"],
            false_values=["false", "f"],
        ),
    )
    arrays = [_convert(read[field.name], field.type) for field in columns]
    return pa.table(arrays, names=columns.names)


def _read_as(kind: pa.DataType) -> pa.DataType:
    if kind == _TIMESTAMP:
        return pa.int64()
    if pa.types.is_binary(kind) or pa.types.is_nested(kind):
        return pa.string()
    return kind


def _convert(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_binary(kind):
        plain = [None if v is None else bytes.fromhex(v) for v in values.to_pylist()]
        return pa.chunked_array([pa.array(plain, pa.binary())])
    if pa.types.is_nested(kind):
        return values  # compared as JSON text
    return values.cast(kind)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
