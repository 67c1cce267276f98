"""A table of a PostgreSQL database, looked at: columns, types, primary key.

    address + schema.table ─catalog─▶ SourceTable

Only reads the catalog. The password comes from PGPASSWORD or a password file, never from the
address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo

from penstock.errors import ConfigError, NotFound, NotReady, Refused
from penstock.ingest.onboarding.source_types import SourceColumn, SourceTable

__all__ = ["look"]

_TIMEOUT_S = 10
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
WHERE i.indrelid = %(table)s::regclass AND i.indisprimary AND k.n <= i.indnkeyatts
ORDER BY k.n
"""


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
    if _parsed(url).get("password"):
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


def _parsed(url: str) -> dict[str, Any]:
    """Return the parts of an address, in either of libpq's ways to write one."""
    try:
        return conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"--postgres is no address of a database: {str(error).strip()}. Write "
            "postgresql://user@host/database."
        ) from error


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S, autocommit=True) as connection:
            connection.read_only = True
            yield connection
    except psycopg.ProgrammingError as error:
        raise Refused(f"the database says no: {error}. Ask for SELECT on the table.") from error
    except psycopg.OperationalError as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        if "password" in text or "authentication" in text:
            raise Refused(f"the database does not let us in: {text}. Set PGPASSWORD.") from error
        raise NotReady(f"the database does not answer: {text}. Check the address.") from error
