"""A table of a PostgreSQL database, looked at: columns, types, primary key.

    address + schema.table ─catalog─▶ SourceTable ─propose─▶ Column…, and what is left out

Types are those in which the connector's transform writes values: text where JSON's numbers would
lose digits, UTC for times. Only reads the catalog; the password comes from PGPASSWORD or a password
file, never from the address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg

from penstock.errors import ConfigError, NotFound, NotReady, Refused
from penstock.ingest.onboarding.proposals import Column

__all__ = ["SourceColumn", "SourceTable", "columns_of", "look", "type_of"]

_TIMEOUT_S = 10
_MAX_DIGITS = 38
_TYPES = {
    "boolean": ("boolean", ""),
    "smallint": ("short", ""),
    "integer": ("integer", ""),
    "bigint": ("long", ""),
    "oid": ("long", ""),
    "real": ("float", ""),
    "double precision": ("double", ""),
    "money": ("decimal(19,2)", ""),
    "bytea": ("binary", ""),
    "bit": ("binary", "bits, as bytes"),
    "bit varying": ("binary", "bits, as bytes"),
    "date": ("date", ""),
    "timestamp with time zone": ("timestamp", ""),
    "timestamp without time zone": ("timestamp", "without a zone: taken for UTC"),
    "hstore": ("map<string, string>", ""),
    "uuid": ("string", "a UUID as text"),
    "json": ("string", "a document as text"),
    "jsonb": ("string", "a document as text"),
    "xml": ("string", "a document as text"),
    "interval": ("string", "as ISO 8601 text, e.g. P1DT2H"),
    "time without time zone": ("string", "as text, HH:MM:SS"),
    "time with time zone": ("string", "as text, HH:MM:SSZ"),
}
"""The lake's type and a remark by the name PostgreSQL writes, without what stands in brackets."""

_TYPES |= dict.fromkeys(
    (
        *("text", "character varying", "character", "bpchar", "name", "citext", "ltree"),
        *("inet", "cidr", "macaddr", "macaddr8", "tsvector"),
        *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    ),
    ("string", ""),
)
_QUERY = """
WITH RECURSIVE base AS (
  SELECT a.attnum, a.attname, a.attnotnull, a.atttypid AS type, a.atttypmod AS mod
  FROM pg_attribute a
  WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, b.attname, b.attnotnull OR t.typnotnull, t.typbasetype, t.typtypmod
  FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
)
SELECT b.attname, format_type(b.type, b.mod), b.attnotnull, t.typtype, coalesce(e.typtype, '')
FROM base b JOIN pg_type t ON t.oid = b.type LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE t.typtype <> 'd' ORDER BY b.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i
JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, n) ON true
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %(table)s::regclass AND i.indisprimary ORDER BY k.n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumn:
    """A column as the catalog has it.

    Attributes:
        type: as PostgreSQL writes it, e.g. ``numeric(18,2)``; that below a domain.
        enum: whether it, or its element, is an enumeration.
    """

    name: str
    type: str
    nullable: bool
    enum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A table of the database.

    Attributes:
        name: ``schema.table``.
        primary_key: its columns, in the key's order; none where there is none.
    """

    name: str
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...]


def look(url: str, table: str) -> SourceTable:
    """Return what the database's catalog says of a table.

    Args:
        url: of the database, without a password.
        table: ``schema.table``; without a schema it is in ``public``.

    Raises:
        ConfigError: when the address holds a password or is none.
        NotFound: when there is no such table.
        Refused: when the database does not let us in.
        NotReady: when it does not answer.
    """
    if urlsplit(url).password or "password=" in url:
        raise ConfigError(
            "The address holds a password, which others can see in the list of processes. Set "
            "PGPASSWORD, or write it into ~/.pgpass, and leave it out."
        )
    schema, _, name = table.rpartition(".")
    full = f"{schema or 'public'}.{name}"
    with _connected(url) as connection:
        quoted = psycopg.sql.Identifier(schema or "public", name).as_string(connection)
        try:
            rows = connection.execute(_QUERY, {"table": quoted}).fetchall()
            key = connection.execute(_KEY, {"table": quoted}).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NotFound(
                f"the database has no table {full}. Write --source-table schema.table, as in \\dt."
            ) from error
    columns = tuple(
        SourceColumn(name=column, type=kind, nullable=not filled, enum="e" in {own, element})
        for column, kind, filled, own, element in rows
    )
    return SourceTable(name=full, columns=columns, primary_key=tuple(column for (column,) in key))


def columns_of(table: SourceTable) -> tuple[list[Column], dict[str, str]]:
    """Return the columns of the lake's table, and why others have no type there."""
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for one in table.columns:
        found = type_of(one)
        if found is None:
            left_out[one.name] = f"{one.type} has no type in a table of the lake"
            continue
        kind, note = found
        # An update may leave a large value out, and a column may be dropped at the source: only
        # the key is sure to be in every event.
        required = one.name in table.primary_key
        told = f"{one.type}; {note}" if note else one.type
        columns.append(Column(name=one.name, type=kind, nullable=not required, note=told))
    return columns, left_out


def type_of(column: SourceColumn) -> tuple[str, str] | None:
    """Return the lake's type of a column and a remark, or None where there is none."""
    if column.type.endswith("[]"):
        element = type_of(
            SourceColumn(name="", type=column.type[:-2], nullable=True, enum=column.enum)
        )
        return element and (f"array<{element[0]}>", element[1])
    base = re.sub(r"\([^)]*\)", "", column.type)
    if base == "numeric":
        return _decimal(column.type)
    if column.enum:
        return "string", "an enumeration, as text"
    return ("boolean", "") if column.type == "bit(1)" else _TYPES.get(base)


def _decimal(text: str) -> tuple[str, str]:
    numbers = [int(number) for number in re.findall(r"-?\d+", text)]
    if not numbers:
        return "string", "without a precision: as text, no digit lost"
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if precision > _MAX_DIGITS or not 0 <= scale <= precision:
        return "string", "more digits than a decimal holds: as text"
    return f"decimal({precision},{scale})", ""


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S, autocommit=True) as connection:
            connection.read_only = True
            yield connection
    except psycopg.ProgrammingError as error:
        if error.sqlstate:
            raise Refused(f"the database says no: {error}. Ask for SELECT on the table.") from error
        raise ConfigError(
            f"{url!r} is no address: {error}. Write postgresql://user@host/db."
        ) from error
    except psycopg.OperationalError as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        if "password" in text or "authentication" in text:
            raise Refused(f"the database does not let us in: {text}. Set PGPASSWORD.") from error
        raise NotReady(f"the database does not answer: {text}. Check the address.") from error
