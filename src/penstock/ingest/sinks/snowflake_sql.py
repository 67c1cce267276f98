"""The statements of a copy to Snowflake; see `penstock.ingest.sinks.snowflake` for their order.

Pure: names and columns in, text out. Every name that comes from outside is quoted, every value is a
parameter. The rows that changes come to are chosen by Snowflake (`survivors`), so a feed of any size
needs no memory here: of a key's changes the newest commit counts, and within a commit what is there
after it: an insert or a new state, before a delete or an old state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from penstock.ingest.sinks.snowflake_types import Column

__all__ = [
    "CHANGE",
    "POSITIONS",
    "STAGING",
    "VERSION",
    "add_column",
    "create_positions",
    "create_staging",
    "create_table",
    "drop",
    "empty",
    "insert_position",
    "insert_rows",
    "leftovers",
    "load",
    "move_position",
    "put",
    "quoted",
    "read_position",
    "remove_changed",
    "staging_name",
    "survivors",
    "widen_column",
]

POSITIONS = "PENSTOCK_COPIES"
STAGING = "PENSTOCK_STAGING"
CHANGE = "_CHANGE_TYPE"
VERSION = "_COMMIT_VERSION"
_THERE = "('insert', 'update_postimage')"
_STAGING_NAME = re.compile(rf"{STAGING}_([0-9]+)_[0-9A-F]+")
_LEFT_S = 24 * 3600


def quoted(name: str) -> str:
    """Return the name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def staging_name(now_s: int, token: str) -> str:
    """Return the name of one copy's staging table; no two copies share one."""
    return f"{STAGING}_{now_s}_{token.upper()}"


def leftovers(names: Iterable[str], *, now_s: int) -> list[str]:
    """Return the staging tables whose copies certainly run no more: a day old."""
    found = ((name, _STAGING_NAME.fullmatch(name)) for name in names)
    return [name for name, match in found if match and now_s - int(match[1]) > _LEFT_S]


def create_positions() -> str:
    """Return what makes the table of how far each copy is."""
    return (
        f"CREATE TABLE IF NOT EXISTS {POSITIONS} "
        '("TABLE_NAME" VARCHAR, "SOURCE" VARCHAR, "VERSION" NUMBER(38,0), "COLUMNS" VARCHAR, '
        '"COPIED_AT" TIMESTAMP_LTZ(6))'
    )


def read_position() -> str:
    """Return what reads a copy's position; its parameter is the table's name."""
    return f'SELECT "SOURCE", "VERSION", "COLUMNS" FROM {POSITIONS} WHERE "TABLE_NAME" = ?'  # noqa: S608 - our own name


def insert_position() -> str:
    """Return what notes a copy that has just begun: table's name, source, columns."""
    return (
        f'INSERT INTO {POSITIONS} ("TABLE_NAME", "SOURCE", "COLUMNS", "COPIED_AT") '  # noqa: S608 - our own name
        "VALUES (?, ?, ?, CURRENT_TIMESTAMP())"
    )


def move_position(*, former: int | None) -> str:
    """Return what moves a copy from where it was: new version, source, columns, table, old version."""
    was = '"VERSION" IS NULL' if former is None else '"VERSION" = ?'
    return (
        f'UPDATE {POSITIONS} SET "VERSION" = ?, "SOURCE" = ?, "COLUMNS" = ?, '  # noqa: S608 - our own name
        f'"COPIED_AT" = CURRENT_TIMESTAMP() WHERE "TABLE_NAME" = ? AND {was}'
    )


def create_table(table: str, columns: Sequence[Column], *, replace: bool = False) -> str:
    """Return what makes a copy's table, in place of one with other columns where told to."""
    form = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE IF NOT EXISTS"
    listed = ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)
    return f"{form} {quoted(table)} ({listed})"


def add_column(table: str, column: Column) -> str:
    """Return what adds a column, once."""
    return (
        f"ALTER TABLE {quoted(table)} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column.type}"
    )


def widen_column(table: str, column: Column) -> str:
    """Return what gives a column more digits."""
    return (
        f"ALTER TABLE {quoted(table)} ALTER COLUMN {quoted(column.name)} "
        f"SET DATA TYPE {column.type}"
    )


def create_staging(staging: str, columns: Sequence[Column]) -> str:
    """Return what makes the table that files are loaded into.

    Not a temporary one, which the server the tests run against cannot load: a copy drops its own,
    and those that killed copies have left.
    """
    listed = ", ".join(f"{quoted(column.name)} {column.staged}" for column in columns)
    marks = f"{quoted(VERSION)} NUMBER(38,0), {quoted(CHANGE)} VARCHAR"
    return f"CREATE TRANSIENT TABLE {staging} ({listed}, {marks})"


def put(path: str, staging: str) -> str:
    """Return what uploads a file to the staging table's own stage, which goes when the table goes."""
    return f"PUT 'file://{path}' @%{staging} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE"


def load(staging: str) -> str:
    """Return what loads the uploaded files."""
    return (
        f"COPY INTO {staging} FROM @%{staging} FILE_FORMAT = (TYPE = PARQUET "
        "USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE PURGE = TRUE"
    )


def remove_changed(table: str, staging: str, key: Sequence[str]) -> str:
    """Return what deletes every row that has a change."""
    own = quoted(table)
    same = " AND ".join(f"{own}.{quoted(name)} = {staging}.{quoted(name)}" for name in key)
    return f"DELETE FROM {own} USING {staging} WHERE {same}"  # noqa: S608 - names are quoted


def empty(table: str) -> str:
    """Return what deletes every row; unlike TRUNCATE it is part of the transaction."""
    return f"DELETE FROM {quoted(table)}"  # noqa: S608 - the name is quoted


def insert_rows(
    table: str, staging: str, columns: Sequence[Column], *, key: Sequence[str] = ()
) -> str:
    """Return what inserts the staged rows: all, or with a key those that changes come to."""
    names = ", ".join(quoted(column.name) for column in columns)
    return f"INSERT INTO {quoted(table)} ({names}) {survivors(staging, columns, key=key)}"


def survivors(staging: str, columns: Sequence[Column], *, key: Sequence[str] = ()) -> str:
    """Return the query of the rows that are there after the staged changes."""
    values = ", ".join(
        f"PARSE_JSON({quoted(column.name)}) AS {quoted(column.name)}"
        if column.type == "VARIANT"
        else quoted(column.name)
        for column in columns
    )
    query = f"SELECT {values} FROM {staging}"  # noqa: S608 - names are quoted
    if not key:
        return query
    keys = ", ".join(map(quoted, key))
    change = quoted(CHANGE)
    return (
        f"{query} QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {quoted(VERSION)} DESC, "
        f"CASE WHEN {change} IN {_THERE} THEN 0 ELSE 1 END) = 1 AND {change} IN {_THERE}"
    )


def drop(table: str) -> str:
    """Return what removes a staging table and its files."""
    return f"DROP TABLE IF EXISTS {quoted(table)}"
