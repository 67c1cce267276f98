"""Changes of rows: their control columns, and what orders them.

    records of a database ─envelopes─▶ ┐
    records of a key ───of_records───▶ ├─▶ changes: columns + control ─folding─▶ one change a key
    rows of a merged table ──of_rows─▶ ┘

A change says what became of one key: a row (insert, update) or none (delete). Two changes of a key
are ordered by the source's own sequence, the operation time and the offset, after the declared
columns where there are any (mode ``merge``); what is null is oldest. A merged table keeps these marks beside each row, so that a change
that comes late finds out that it is late. Never reads a record's value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import orjson
import pyarrow as pa
from pyarrow import compute

from penstock.model import tables

__all__ = [
    "ABSENT",
    "BEHIND",
    "CONTROL",
    "FORMER",
    "OFFSET",
    "OPERATION",
    "SEQUENCE",
    "TIME",
    "Operation",
    "changes_schema",
    "from_text",
    "in_part",
    "lake_schema",
    "marks",
    "mine",
    "of_records",
    "of_rows",
    "to_rows",
    "to_text",
    "values_of",
]

OPERATION = "_op"
TIME = "_ot"
SEQUENCE = "_sequence"
ABSENT = "_absent"
BEHIND = "_behind"
FORMER = "_former"
CLUSTER = "_cluster"
PARTITION = "_partition"
OFFSET = "_offset"

_TIMESTAMP = pa.timestamp("us", tz="UTC")

CONTROL = pa.schema(
    [
        pa.field(OPERATION, pa.string()),
        pa.field(SEQUENCE, pa.int64()),
        pa.field(TIME, _TIMESTAMP),
        pa.field(OFFSET, pa.int64()),
        pa.field(ABSENT, pa.list_(pa.field("element", pa.string()))),
        pa.field(BEHIND, pa.string()),
        pa.field(FORMER, pa.string()),
        pa.field(CLUSTER, pa.string()),
        pa.field(PARTITION, pa.int32()),
    ]
)
"""Columns of a change beside the table's own.

``_sequence`` grows with the source's own order (`sq`; null where it tells none), ``_ot`` is the
operation time, ``_absent`` names the columns the change says nothing of. ``_behind`` is JSON: each
column whose value is older than the change, with the marks of the change it came from. ``_former``
is JSON: the key's values, as text, that the row had before, where its absent columns are found; of a
delete the key that it has from then on.
"""

KEPT = (SEQUENCE, TIME, OFFSET, BEHIND)
"""Control columns that a merged table keeps, after its own."""


class Operation(StrEnum):
    """What became of a key."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"
    TRUNCATE = "T"
    """Of every key of the table."""


def marks(table: tables.Table) -> tuple[str, ...]:
    """Return the columns that order two changes of a key, most telling first.

    Declared ones count in mode ``merge`` only: a database's delete tells no column but the key.
    """
    declared = table.merge.order_by if table.mode is tables.TableMode.MERGE else ()
    return (*declared, SEQUENCE, TIME, OFFSET)


def values_of(schema: pa.Schema) -> list[str]:
    """Return the names of the table's own columns."""
    return [name for name in schema.names if name not in CONTROL.names]


def lake_schema(rows: pa.Schema) -> pa.Schema:
    """Return the columns of the merged Delta table.

    All may be null: a change that names a part of a row may come before the row does, and delta-rs
    checks even the rows that a merge does not write. That no key is null the decoder sees to.

    Args:
        rows: the pipeline's rows; control columns among them are left out.
    """
    own = [rows.field(name).with_nullable(nullable=True) for name in values_of(rows)]
    return pa.schema([*own, *(CONTROL.field(name) for name in KEPT)])


def changes_schema(lake: pa.Schema) -> pa.Schema:
    """Return the columns of changes of a table: its own, and every control column."""
    return pa.schema([*(lake.field(name) for name in values_of(lake)), *CONTROL])


def in_part(rows: pa.Table) -> pa.ChunkedArray:
    """Return a mask of the changes that do not tell their whole row at their own marks."""
    return compute.or_(compute.is_valid(rows[ABSENT]), compute.is_valid(rows[BEHIND]))


def mine(rows: pa.Table) -> pa.ChunkedArray:
    """Return a mask of the changes that are this table's; others are of another namespace."""
    return compute.is_valid(rows[OPERATION])


def of_records(table: tables.Table, rows: pa.Table, raw: pa.Table) -> pa.Table:
    """Return decoded rows as changes.

    Args:
        table: the declaration.
        rows: columns, and for ``merge-cdc`` what `envelopes` reads of the control columns.
        raw: the records behind them, as `records.RAW` has them, one a row.
    """
    known: dict[str, pa.ChunkedArray | pa.Array] = {name: rows[name] for name in rows.column_names}
    if table.mode is tables.TableMode.MERGE:
        known[OPERATION] = _all(Operation.UPDATE.value, rows.num_rows, pa.string())
        known[TIME] = _times(raw["timestamp_ms"])
    known[CLUSTER] = raw["cluster"]
    known[PARTITION] = raw["partition"]
    known[OFFSET] = raw["offset"]
    return _completed(known, rows.schema, rows.num_rows)


def of_rows(rows: pa.Table) -> pa.Table:
    """Return rows of a merged table, or of its change log, as the changes that made them so."""
    known: dict[str, pa.ChunkedArray | pa.Array] = {name: rows[name] for name in rows.column_names}
    if OPERATION not in known:
        known[OPERATION] = _all(Operation.UPDATE.value, rows.num_rows, pa.string())
    if ABSENT not in known:
        known[BEHIND], known[ABSENT] = _split(rows[BEHIND])
    return _completed(known, rows.schema, rows.num_rows)


def to_rows(folded: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return folded changes as rows with the columns of `lake_schema`, with ``_op`` before them.

    A column that no change has told of is null, and ``_behind`` says so.
    """
    behind = _joined(folded[BEHIND], folded[ABSENT])
    arrays = [behind if name == BEHIND else folded[name] for name in schema.names]
    # Of a delete only the key is known; nothing here is yet the table's.
    nullable = [field.with_nullable(nullable=True) for field in schema]
    return pa.table(
        [folded[OPERATION], *arrays], schema=pa.schema([CONTROL.field(OPERATION), *nullable])
    )


def to_text(values: pa.ChunkedArray | pa.Array) -> list[str | None]:
    """Return values of a key or a mark as text that `from_text` reads back exactly."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    texts: list[str | None] = values.cast(pa.string()).to_pylist()
    return texts


def from_text(texts: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Return the values behind the text of `to_text`."""
    values = pa.array(texts, pa.string())
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.int64())
    return values.cast(kind)


def _completed(
    known: Mapping[str, pa.ChunkedArray | pa.Array], schema: pa.Schema, count: int
) -> pa.Table:
    own = values_of(schema)
    arrays = [known[name] for name in own]
    arrays += [
        known[field.name] if field.name in known else pa.nulls(count, field.type)
        for field in CONTROL
    ]
    fields = [schema.field(name).with_nullable(nullable=True) for name in own]
    return pa.table(arrays, schema=pa.schema([*fields, *CONTROL]))


def _split(behind: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Return what is behind with marks as JSON, and the names of what was never told."""
    if behind.null_count == len(behind):
        return pa.nulls(len(behind), pa.string()), pa.nulls(len(behind), CONTROL.field(ABSENT).type)
    told: list[str | None] = []
    absent: list[list[str] | None] = []
    for text in behind.to_pylist():
        entries = orjson.loads(text) if text else {}
        old = {name: mark for name, mark in entries.items() if mark is not None}
        told.append(orjson.dumps(old).decode() if old else None)
        absent.append([name for name, mark in entries.items() if mark is None] or None)
    return pa.array(told, pa.string()), pa.array(absent, CONTROL.field(ABSENT).type)


def _joined(behind: pa.ChunkedArray, absent: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if absent.null_count == len(absent):
        return behind
    texts = []
    for text, names in zip(behind.to_pylist(), absent.to_pylist(), strict=True):
        entries = (orjson.loads(text) if text else {}) | dict.fromkeys(names or ())
        texts.append(orjson.dumps(entries).decode() if entries else None)
    return pa.array(texts, pa.string())


def _times(timestamps_ms: pa.ChunkedArray) -> pa.ChunkedArray:
    return timestamps_ms.cast(pa.timestamp("ms", tz="UTC")).cast(_TIMESTAMP)


def _all(value: str, count: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)
