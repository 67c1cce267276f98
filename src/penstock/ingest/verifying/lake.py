"""The table's side of a comparison: its rows of a key range, as they are now.

    table, and its log ─(key range)─▶ rows + _sequence      tombstones ─▶ keys deleted, and when

Reads only. Nested values become JSON text, as the source's are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from penstock.errors import NotReady
from penstock.ingest import delta, fresh
from penstock.ingest.locations import Location
from penstock.ingest.verifying import compare
from penstock.ingest.verifying.compare import SEQUENCE
from penstock.ingest.verifying.postgres import Bounds
from penstock.model import tables

__all__ = ["Lake"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    """A merged table, to be read again and again while it changes."""

    table: tables.Table
    place: Location

    def columns(self) -> pa.Schema:
        """Return the columns that come from the source, with their types.

        Raises:
            NotReady: when there is no table yet.
        """
        have = self._open(self.place).schema
        derived = {one.name for one in self.table.derived}
        names = [c.name for c in self.table.columns] or [
            n for n in have.names if not n.startswith("_") and n not in derived
        ]
        return pa.schema([have.field(name) for name in names])

    def read(self, bounds: Bounds, columns: pa.Schema) -> pa.Table:
        """Return the rows of a key range, with ``_sequence``."""
        wanted = [*columns.names, SEQUENCE]
        where = _between(bounds, columns, self.table.merge.primary_key)
        empty = pa.schema([*columns, pa.field(SEQUENCE, pa.int64())]).empty_table()
        pieces = [p.select(wanted) for p in fresh.read_fresh(self.table, self.place, where=where)]
        nested = [field.name for field in columns if pa.types.is_nested(field.type)]
        return compare.as_json_text(pa.concat_tables([empty, *pieces]), nested)

    def forgotten(self, bounds: Bounds, columns: pa.Schema) -> pa.Table:
        """Return the keys of a range that were deleted, each with its newest ``_sequence``."""
        key = list(self.table.merge.primary_key)
        schema = pa.schema([*(columns.field(k) for k in key), pa.field(SEQUENCE, pa.int64())])
        if delta.read_table(self.place.child("_penstock/tombstones")) is None:
            return schema.empty_table()
        where = _between(bounds, columns, key)
        found = self._scan(self.place.child("_penstock/tombstones"), where, [*key, SEQUENCE])
        return found.group_by(key).aggregate([(SEQUENCE, "max")]).rename_columns([*key, SEQUENCE])

    def _scan(self, place: Location, where: str, names: Sequence[str]) -> pa.Table:
        lake = self._open(place)
        with delta.translated(place):
            reader = pa.RecordBatchReader.from_stream(
                lake.table.scan(columns=list(names), predicate=where or None)
            )
            return reader.read_all().select(list(names))

    def _open(self, place: Location) -> delta.LakeTable:
        lake = delta.read_table(place)
        if lake is None:
            raise NotReady(
                f"table {self.table.ident} has no rows yet: nothing is at {place}. `penstock table "
                "status` tells how far it is."
            )
        return lake


def _between(bounds: Bounds, columns: pa.Schema, key: Sequence[str]) -> str:
    """Return the condition ``after < key <= last`` in the words of Delta's engine."""
    after, last = bounds
    parts = []
    if after is not None:
        parts.append(f"NOT ({_at_most(after, columns, key)})")
    if last is not None:
        parts.append(f"({_at_most(last, columns, key)})")
    return " AND ".join(parts)


def _at_most(values: Sequence[str], columns: pa.Schema, key: Sequence[str]) -> str:
    """Return ``key <= values``, column by column: (a, b) <= (x, y) is a < x or a = x and b <= y."""
    ways = []
    for number, name in enumerate(key):
        before = zip(key[:number], values[:number], strict=True)
        equal = [f"{_quoted(n)} = {_literal(v, columns.field(n).type)}" for n, v in before]
        sign = "<=" if number == len(key) - 1 else "<"
        limit = _literal(values[number], columns.field(name).type)
        ways.append(" AND ".join([*equal, f"{_quoted(name)} {sign} {limit}"]))
    return " OR ".join(f"({way})" for way in ways)


def _literal(value: str, kind: pa.DataType) -> str:
    text = "'" + value.replace("'", "''") + "'"
    if pa.types.is_integer(kind):
        return str(int(value))
    if pa.types.is_decimal(kind):
        return f"CAST({text} AS DECIMAL({kind.precision},{kind.scale}))"
    if pa.types.is_date(kind):
        return f"CAST({text} AS DATE)"
    if pa.types.is_timestamp(kind):
        return f"CAST({text} AS TIMESTAMP)"
    return text


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
