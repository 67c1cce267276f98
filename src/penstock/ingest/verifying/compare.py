"""Two sets of rows of one key range, compared; values in, values out.

    source rows, table rows, mark ─compare─▶ Range(counts, checksums, faults)

A row of the table that has changed since the mark is *moving*: it says nothing now, and is looked at
again in a later round. So is a row that is wrong now and was right in an earlier look: a change on
its way looks like that. Every other row must be the source's, value by value. The checksums are sums
of row hashes, so equal sets have equal sums whatever their order; they are over the rows that stand
still, so that both sides have sums of the same rows. A row that is there twice has a copy too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import duckdb
import pyarrow as pa

__all__ = [
    "SEQUENCE",
    "Difference",
    "Fault",
    "Range",
    "Verdict",
    "as_json_text",
    "compare",
    "connected",
    "quoted",
]

SEQUENCE = "_sequence"
"""The table's column of the source's own order."""


class Difference(StrEnum):
    """How a row is wrong."""

    MISSING = "missing"
    """In the source, not in the table."""
    EXTRA = "extra"
    """In the table, not in the source."""
    OTHER = "other values"
    LOST = "neither a row nor a dead letter"
    """A record that cannot be a row, and was not put aside either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row that is not the same.

    Attributes:
        key: its primary key, as text, in the key's order of columns.
        columns: those that differ; none where the row is on one side only.
    """

    key: tuple[str, ...]
    difference: Difference
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What became of one key range.

    Attributes:
        name: which one, where ranges have names.
        source_rows: rows of the source.
        table_rows: rows of the table.
        moving: rows that changed since the mark, on either side.
        unjudged: rows of the table of which the source says nothing any more.
        source_checksum: over the source's rows that stand still.
        table_checksum: over the table's.
        differences: how many rows are wrong.
        faults: examples of them, at most twenty.
    """

    name: str = ""
    source_rows: int
    table_rows: int
    moving: int = 0
    unjudged: int = 0
    source_checksum: str
    table_checksum: str
    differences: int
    faults: tuple[Fault, ...] = ()

    @property
    def equal(self) -> bool:
        """Tell whether all that stands still is the same."""
        return not self.differences and self.source_checksum == self.table_checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a comparison.

    Attributes:
        equal: whether every row that was judged is the same.
        rows: of the source at the last mark.
        ranges: the newest result of each key range, in the key's order.
        moving: rows that changed in every round, so that they were never judged.
        rounds: how many were needed.
        faults: examples of rows that were wrong in every round.
        source: what the table was compared with: ``database`` or ``topic``.
        letters: records of the topic that are dead letters.
        unjudged: rows of the table of which the source says nothing any more.
        notes: what could not be compared, and why.
    """

    equal: bool
    rows: int
    ranges: tuple[Range, ...]
    moving: int
    rounds: int
    faults: tuple[Fault, ...] = field(default=())
    source: str = "database"
    letters: int = 0
    unjudged: int = 0
    notes: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """Return one checksum over the source's rows that were judged."""
        total = sum(int(each.source_checksum, 16) for each in self.ranges)
        return f"{total % 2**64:016x}"


def compare(
    source: pa.Table,
    table: pa.Table,
    *,
    key: Sequence[str],
    mark: int | None = None,
    forgotten: pa.Table | None = None,
    suspects: pa.Table | None = None,
    whole: bool = True,
    name: str = "",
) -> tuple[Range, pa.Table]:
    """Compare the rows of one key range; return what came of it, and the keys that are wrong.

    Args:
        source: the source's rows at the mark; its columns are what is compared.
        table: the table's rows, read later; has the source's columns, and ``_sequence`` where
            there is a mark.
        key: the primary key's columns.
        mark: the place in the source's order at which ``source`` was read; None where both sides
            stand still.
        forgotten: keys deleted from the table, with the ``_sequence`` of the deletion; a row that is
            missing because it was deleted after the mark is moving.
        suspects: keys that were wrong in an earlier look, where there was one: others that are
            wrong now were right then, so they are moving.
        whole: whether the source has every row that may be in the table; else those that only the
            table has are not judged.
        name: of the range.
    """
    with connected() as connection:
        connection.register("source_rows", source)
        connection.register("table_rows", table)
        deleted = forgotten if forgotten is not None else _no_keys(source, key)
        connection.register("forgotten_rows", deleted)
        connection.register(
            "suspected_rows", suspects if suspects is not None else source.select(key).slice(0, 0)
        )
        connection.execute(
            _joined(
                source.column_names, key=key, mark=mark, again=suspects is not None, whole=whole
            )
        )
        counts = connection.execute(_COUNTS).fetchone()
        faults = connection.execute(_FAULTS).fetchall()
        wrong: pa.Table = connection.sql(_wrong(key)).to_arrow_table()
    if counts is None:
        raise AssertionError("an aggregate without groups has one row")
    differences, moving, seen, source_sum, table_sum = counts
    judged = Range(
        name=name,
        source_rows=source.num_rows,
        table_rows=table.num_rows,
        moving=int(moving),
        unjudged=table.num_rows - int(seen),
        source_checksum=_hex(source_sum),
        table_checksum=_hex(table_sum),
        differences=int(differences),
        faults=tuple(_fault(row, source.column_names, key) for row in faults),
    )
    return judged, wrong


def as_json_text(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows with the values of the columns written as JSON."""
    if not names:
        return rows
    chosen = ", ".join(
        f"to_json({quoted(n)})::VARCHAR AS {quoted(n)}" if n in names else quoted(n)
        for n in rows.column_names
    )
    with connected() as connection:
        connection.register("rows", rows)
        found: pa.Table = connection.sql(f"SELECT {chosen} FROM rows").to_arrow_table()  # noqa: S608 - quoted
    return found


def connected() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB that reads nothing but what is registered with it, in UTC."""
    connection = duckdb.connect(config={"enable_external_access": "false", "threads": "1"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


_COUNTS = """
SELECT count(*) FILTER (WHERE NOT moving AND wrong <> 'no'),
       count(*) FILTER (WHERE moving),
       count(table_hash),
       coalesce(sum(source_hash::HUGEINT) FILTER (WHERE NOT moving), 0),
       coalesce(sum(table_hash::HUGEINT) FILTER (WHERE NOT moving), 0)
FROM joined
"""
_FAULTS = """
SELECT keys, wrong, same FROM joined WHERE NOT moving AND wrong <> 'no'
ORDER BY keys LIMIT 20
"""


def _joined(
    columns: Sequence[str], *, key: Sequence[str], mark: int | None, again: bool, whole: bool
) -> str:
    """Return the statement that puts both sides of each key side by side."""
    names = [quoted(name) for name in columns]
    keys = [quoted(name) for name in key]
    on = " AND ".join(f"s.{k} = t.{k}" for k in keys)
    on_forgotten = " AND ".join(f"s.{k} = f.{k}" for k in keys)
    on_suspected = " AND ".join(f"coalesce(s.{k}, t.{k}) = k.{k}" for k in keys)
    same = ", ".join(f"s.{name} IS NOT DISTINCT FROM t.{name}" for name in names)
    texts = ", ".join(f"coalesce(s.{k}, t.{k})::VARCHAR" for k in keys)
    values = ", ".join(f"coalesce(s.{k}, t.{k}) AS _key{n}" for n, k in enumerate(keys))
    sequence = f"coalesce(t.{quoted(SEQUENCE)}, f.{quoted(SEQUENCE)}, -1)"
    side = f"""
    SELECT *, hash(row({", ".join(names)})) AS _row_hash, true AS _here,
           row_number() OVER (PARTITION BY {", ".join(keys)}) AS _copy"""
    return f"""
    CREATE TEMP TABLE joined AS
    WITH s AS ({side} FROM source_rows), t AS ({side} FROM table_rows),
         f AS (SELECT * FROM forgotten_rows), k AS (SELECT *, true AS _here FROM suspected_rows),
         pairs AS (
    SELECT {values},
           [{texts}] AS keys,
           s._row_hash AS source_hash,
           t._row_hash AS table_hash,
           {"false" if mark is None else f"{sequence} > {mark}"} AS changed,
           k._here IS NULL AS unsuspected,
           [{same}] AS same,
           CASE WHEN t._here IS NULL THEN '{Difference.MISSING}'
                WHEN s._here IS NULL THEN '{Difference.EXTRA}'
                WHEN list_contains([{same}], false) THEN '{Difference.OTHER}'
                ELSE 'no' END AS wrong
    FROM s {"FULL OUTER" if whole else "LEFT"} JOIN t ON {on} AND s._copy = t._copy
           LEFT JOIN f ON {on_forgotten} AND t._here IS NULL
           LEFT JOIN k ON {on_suspected})
    SELECT *, changed {"OR (wrong <> 'no' AND unsuspected)" if again else ""} AS moving FROM pairs
    """  # noqa: S608 - names are quoted, the mark is a number


def _wrong(key: Sequence[str]) -> str:
    names = ", ".join(f"_key{n} AS {quoted(name)}" for n, name in enumerate(key))
    return f"SELECT DISTINCT {names} FROM joined WHERE NOT moving AND wrong <> 'no'"  # noqa: S608 - quoted


def _fault(row: Any, columns: Sequence[str], key: Sequence[str]) -> Fault:
    # Any: a row of DuckDB's, as the statement above has it.
    keys, wrong, same = row
    difference = Difference(wrong)
    differing = [
        name
        for name, equal in zip(columns, same, strict=True)
        if difference is Difference.OTHER and not equal and name not in key
    ]
    return Fault(key=tuple(keys), difference=difference, columns=tuple(differing))


def _no_keys(source: pa.Table, key: Sequence[str]) -> pa.Table:
    schema = pa.schema([*(source.schema.field(k) for k in key), pa.field(SEQUENCE, pa.int64())])
    return schema.empty_table()


def _hex(total: Any) -> str:
    # Any: DuckDB's huge integer, a Python int. A sum of hashes, cut to what a checksum needs.
    return f"{int(total) % 2**64:016x}"


def quoted(name: str) -> str:
    """Return the name as DuckDB quotes it."""
    return '"' + name.replace('"', '""') + '"'
