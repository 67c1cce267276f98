"""Rows of a file as rows of a table.

    records (RAW) ─as_records─▶ RAW ─▶ the table's own pipeline
    lines ─of_lines─▶ RAW                rows ─Shape.rows─▶ `Pipeline.schema`, columns by their names

Guarantee: pure. Values are cast only where nothing is lost; what cannot be is refused with the
column's name. A row without an order of its own is as old as the snapshot says, or older than
anything the topic tells, so it never replaces what the topic has told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
from pyarrow import compute

from penstock.errors import Refused
from penstock.ingest import changes
from penstock.ingest.backfill.files import LINE
from penstock.ingest.changes import CONTROL, Operation
from penstock.ingest.expressions import Derivation, coordinate_types
from penstock.ingest.records import RAW
from penstock.model import tables

__all__ = ["Shape", "as_records", "of_lines"]

_OLDEST = -(2**62)
"""Offsets of lines, which have none, count from here: every offset of Kafka's is newer."""


def as_records(found: pa.Table, *, since_ms: int, until_ms: int) -> pa.Table:
    """Return the records of an archive as `records.RAW`, those of the time alone.

    Args:
        found: with the columns of `records.RAW`; ``key`` and ``record_id`` may be missing.
        since_ms: leaves older ones out; 0 for none.
        until_ms: leaves those from then on out; 0 for none.
    """
    arrays = [
        found[field.name].cast(field.type)
        if field.name in found.column_names
        else pa.nulls(found.num_rows, field.type)
        for field in RAW
    ]
    raw = pa.Table.from_arrays(arrays, schema=RAW)
    if since_ms:
        raw = raw.filter(compute.greater_equal(raw["timestamp_ms"], since_ms))
    if until_ms:
        raw = raw.filter(compute.less(raw["timestamp_ms"], until_ms))
    return raw


def of_lines(found: pa.Table, *, file: str, first: int) -> pa.Table:
    """Return lines as the values of records, whose origin is the file.

    Args:
        found: with the column `files.LINE`.
        file: its name.
        first: where in it the lines begin.
    """
    count = found.num_rows
    known = {
        "cluster": pa.repeat(pa.scalar("archive"), count),
        "topic": pa.repeat(pa.scalar(file), count),
        "partition": pa.repeat(pa.scalar(0, pa.int32()), count),
        "offset": compute.add(pa.arange(0, count), pa.scalar(_OLDEST + first, pa.int64())),
        "value": found[LINE],
    }
    arrays = [known[f.name] if f.name in known else pa.nulls(count, f.type) for f in RAW]
    return pa.Table.from_arrays(arrays, schema=RAW)


class Shape:
    """Gives rows the columns of one table."""

    def __init__(self, table: tables.Table, schema: pa.Schema) -> None:
        """Compile the derived columns.

        Args:
            table: the declaration.
            schema: its `Pipeline.schema`.

        Raises:
            ConfigError: when the declaration cannot work.
        """
        self._schema = schema
        self._merged = table.mode is not tables.TableMode.APPEND
        self._derived = [each.name for each in table.derived]
        controls = CONTROL.names if self._merged else []
        self._controls = controls
        self._own = [n for n in schema.names if n not in (*controls, *self._derived)]
        self._required = {c.name for c in table.columns if not c.nullable}
        self._required |= set(table.merge.primary_key) & set(self._own)
        own = pa.schema([schema.field(name) for name in self._own])
        self._derivation = Derivation(table.derived, own)

    def rows(self, found: pa.Table, *, taken_at_ms: int, origin: str) -> pa.Table:
        """Return the rows with the columns of the table.

        Args:
            found: columns by name; others than the table's are left out.
            taken_at_ms: the time of rows that have no ``_ot``; 0 for none.
            origin: where they are from, for messages.

        Raises:
            Refused: when a required column is missing or null, or a value does not fit its type.
        """
        arrays = {name: self._column(found, name, origin) for name in self._own}
        own = pa.table(arrays)
        arrays |= self._derive(found, own, origin)
        for name in self._controls:
            arrays[name] = self._control(found, name, taken_at_ms)
        return pa.Table.from_arrays([arrays[n] for n in self._schema.names], schema=self._schema)

    def _column(self, found: pa.Table, name: str, origin: str) -> pa.ChunkedArray | pa.Array:
        kind = self._schema.field(name).type
        if name not in found.column_names:
            if name in self._required:
                have = ", ".join(found.column_names)
                raise Refused(
                    f"{origin} has no column {name!r}, which the table needs. It has: {have}. Write "
                    "it with that column, or let the declared column be null."
                )
            return pa.nulls(found.num_rows, kind)
        try:
            column = found[name].cast(kind)
        except pa.ArrowException as error:
            raise Refused(
                f"column {name!r} of {origin} is {found[name].type} and cannot be {kind}: "
                f"{str(error)[:200]}. Write it with the declared type."
            ) from error
        if column.null_count and name in self._required:
            raise Refused(
                f"column {name!r} of {origin} has {column.null_count} rows without a value, and the "
                "table needs one. Leave those rows out, or let the declared column be null."
            )
        return column

    def _derive(
        self, found: pa.Table, own: pa.Table, origin: str
    ) -> Mapping[str, pa.ChunkedArray | pa.Array]:
        there = [name for name in self._derived if name in found.column_names]
        taken = {name: self._column(found, name, origin) for name in there}
        if len(taken) == len(self._derived):
            return taken
        coordinates = {
            name: found[name]
            if name in found.column_names and name not in self._own
            else pa.nulls(found.num_rows)
            for name in self._derivation.coordinates
        }
        kinds = coordinate_types()
        cast = {name: column.cast(kinds[name]) for name, column in coordinates.items()}
        made, bad = self._derivation.evaluate(own, cast)
        if bad:
            index, reason = next(iter(bad.items()))
            raise Refused(f"row {index} of {origin} cannot be a row of the table: {reason}.")
        return {name: made[name] for name in self._derived} | taken

    def _control(self, found: pa.Table, name: str, taken_at_ms: int) -> pa.ChunkedArray | pa.Array:
        kind = CONTROL.field(name).type
        given = found[name] if name in found.column_names else pa.nulls(found.num_rows, kind)
        if name == changes.OPERATION:
            return compute.fill_null(given.cast(kind), Operation.UPDATE.value)
        if name == changes.TIME and taken_at_ms:
            taken_at = datetime.fromtimestamp(taken_at_ms / 1000, UTC)
            return compute.fill_null(given.cast(kind), pa.scalar(taken_at, kind))
        return given.cast(kind)
