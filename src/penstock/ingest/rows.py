"""Records to rows: what a table's file declares, as Arrow.

tables.Table ─schema─▶ the Delta table's columns
decoded values + Kafka's coordinates ─rows─▶ rows of that schema
poison + gaps ─letters─▶ rows of the dead-letter table
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyarrow import compute

from penstock.errors import ConfigError
from penstock.ingest import arrow_types, plan
from penstock.ingest.records import Records
from penstock.model import tables

__all__ = ["LETTERS", "Letter", "letters", "refuse", "rows", "schema"]

_MS_TO_US = 1_000
_TIMESTAMP = pa.timestamp("us", tz="UTC")
_COORDINATES = {
    "cluster": pa.string(),
    "topic": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "key": pa.string(),
    "record_id": pa.string(),
    "event_time": _TIMESTAMP,
}
_DATE_OF = re.compile(r"date\((\w+)\)")

LETTERS = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("event_time", _TIMESTAMP),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("found_at", _TIMESTAMP, nullable=False),
    ]
)
"""Columns of a dead-letter table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record that is no row, or the first of a gap: where it comes from, and why."""

    reason: str
    partition: plan.Partition
    offset: int
    timestamp_ms: int | None = None
    key: bytes | None = None
    value: bytes | None = None


def schema(table: tables.Table) -> pa.Schema:
    """Return the columns of the Delta table: the declared ones, then the derived.

    Raises:
        ConfigError: when a derived column's expression is none that is known.
    """
    declared = [
        pa.field(column.name, arrow_types.to_arrow(column.kind), nullable=column.nullable)
        for column in table.columns
    ]
    return pa.schema([*declared, *(pa.field(d.name, _type_of(d)) for d in table.derived)])


def rows(table: tables.Table, columns: pa.Table, records: Records) -> pa.Table:
    """Return the rows: the decoded columns, and those derived from them or from the records.

    Args:
        table: the declaration.
        columns: the decoded values.
        records: the records behind them, one a row.
    """
    arrays = {field.name: columns[field.name] for field in columns.schema}
    for derived in table.derived:
        match = _DATE_OF.fullmatch(derived.expression)
        arrays[derived.name] = (
            compute.cast(columns[match.group(1)], pa.date32())
            if match
            else _coordinate(derived.expression, records)
        )
    return pa.table(arrays, schema=schema(table))


def refuse(table: tables.Table, records: Records) -> dict[int, str]:
    """Return reasons by index of records that cannot be rows whatever their value is."""
    if all(derived.expression != "key" for derived in table.derived):
        return {}
    return {
        index: "the key is not UTF-8 text, and the table has a column of it"
        for index, key in enumerate(records.keys)
        if key is not None and not _is_text(key)
    }


def letters(found: Sequence[Letter], *, at: datetime) -> pa.Table:
    """Return dead letters as rows of `LETTERS`, found at the given time."""
    return pa.table(
        {
            "reason": [letter.reason for letter in found],
            "cluster": [letter.partition.cluster for letter in found],
            "topic": [letter.partition.topic for letter in found],
            "partition": [letter.partition.number for letter in found],
            "offset": [letter.offset for letter in found],
            "event_time": _times([letter.timestamp_ms for letter in found]),
            "key": [letter.key for letter in found],
            "value": [letter.value for letter in found],
            "found_at": [at] * len(found),
        },
        schema=LETTERS,
    )


def _type_of(derived: tables.DerivedColumn) -> pa.DataType:
    if _DATE_OF.fullmatch(derived.expression):
        return pa.date32()
    if derived.expression in _COORDINATES:
        return _COORDINATES[derived.expression]
    raise ConfigError(
        f"column {derived.name!r} is derived by {derived.expression!r}, which is not known. "
        f"Write date(<column>) or one of {', '.join(sorted(_COORDINATES))}."
    )


def _coordinate(expression: str, records: Records) -> pa.Array:
    values: Sequence[object]
    match expression:
        case "cluster":
            values = [records.source.cluster] * len(records)
        case "topic":
            values = [records.source.topic] * len(records)
        case "partition":
            values = records.partitions
        case "offset":
            values = records.offsets
        case "key":
            values = [key if key is None else key.decode() for key in records.keys]
        case "record_id":
            values = records.record_ids
        case _:
            return _times(records.timestamps_ms)
    return pa.array(values, type=_COORDINATES[expression])


def _times(ms: Sequence[int | None]) -> pa.Array:
    micros = [None if each is None else each * _MS_TO_US for each in ms]
    return pa.array(micros, type=pa.int64()).cast(_TIMESTAMP)


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
