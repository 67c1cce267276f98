"""Records to rows, and to dead letters where they cannot be: what a table's declaration means.

    RAW ─decode─▶ columns ─derive─▶ rows of `schema`
          └─▶ poison ────────┴────▶ letters, with reasons

Guarantee: pure: the same records give the same rows and letters in every engine, at any time, and
however they are cut into batches. Each record is a row, a letter, or one that the mode says has
nothing to say to the table; never two of them. Knows no Kafka, no Delta and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes, changes_envelope, letters
from penstock.ingest.decoders import Decoder, open_decoder, sifting
from penstock.ingest.expressions import Derivation
from penstock.ingest.records import RAW
from penstock.model import tables

__all__ = ["Pipeline", "Transformed"]

_NO_TEXT = "the key is not UTF-8 text, and the table has a column of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """What became of records.

    Attributes:
        rows: as `Pipeline.schema`, in the records' order.
        letters: as `letters.FOUND`.
    """

    rows: pa.Table
    letters: pa.Table


class Pipeline:
    """What one declaration makes of records; used by one thread at a time.

    Attributes:
        table: the declaration.
        schema: of the rows: the columns, the derived ones, and for changes `changes.CONTROL`.
        record_ids: whether it needs the records' ids, which cost something to read.
    """

    def __init__(self, table: tables.Table) -> None:
        """Open the decoder and compile the expressions.

        Raises:
            ConfigError: when the declaration cannot work.
            NotReady: when the schema registry does not answer.
        """
        self.table = table
        self._envelopes = table.mode is tables.TableMode.MERGE_CDC
        self._decoder: Decoder = (
            changes_envelope.open_decoder(table) if self._envelopes else open_decoder(table)
        )
        own = self._decoder.schema
        self._own = changes.values_of(own) if self._envelopes else own.names
        self._derivation = Derivation(table.derived, pa.schema([own.field(n) for n in self._own]))
        self.schema = self._shaped(
            own.empty_table(), self._derivation.schema.empty_table(), RAW.empty_table()
        ).schema
        self.record_ids = "record_id" in self._derivation.coordinates

    @property
    def copied(self) -> dict[str, str]:
        """Return the derived columns that are a coordinate just as it is, and which one."""
        return self._derivation.copied

    def transform(self, raw: pa.Table) -> Transformed:
        """Make rows and letters of records.

        Args:
            raw: as `records.RAW`.

        Raises:
            NotReady: when something the decoder needs does not answer; ask again with the same.
            ConfigError: when the decoder cannot work as it is declared.
        """
        if self._envelopes and raw["value"].null_count:
            # The delete before a tombstone has told the table already.
            raw = raw.filter(raw["value"].is_valid())
        values = raw["value"].combine_chunks()
        decoded = sifting.decode(values, self._decoder, refused=self._refused(raw))
        reasons = {poison.index: poison.reason for poison in decoded.poison}
        columns, kept = decoded.columns, decoded.kept
        if self._envelopes:
            mine = changes.mine(columns)
            columns, kept = columns.filter(mine), kept.filter(mine.combine_chunks())
        records = raw if len(kept) == raw.num_rows else raw.take(kept)
        derived, bad = self._derivation.evaluate(columns, self._coordinates(records))
        if bad:
            reasons |= {kept[index].as_py(): reason for index, reason in bad.items()}
            good = _without(columns.num_rows, bad)
            columns, records = columns.filter(good), records.filter(good)
        return Transformed(
            rows=self._shaped(columns, derived, records), letters=_letters(raw, reasons)
        )

    def _shaped(self, columns: pa.Table, derived: pa.Table, records: pa.Table) -> pa.Table:
        """Put the columns side by side, and for changes what orders them."""
        arrays = {name: columns[name] for name in self._own}
        arrays |= {name: derived[name] for name in derived.column_names}
        fields = [*(columns.schema.field(n) for n in self._own), *derived.schema]
        rows = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
        if self.table.mode is tables.TableMode.APPEND:
            return rows
        for name in columns.column_names[len(self._own) :]:
            control = columns[name]
            if name == changes.ABSENT:
                control = _with_derived(control, self._derivation.columns)
            rows = rows.append_column(columns.schema.field(name), control)
        return changes.of_records(self.table, rows, records)

    def _refused(self, raw: pa.Table) -> dict[int, str]:
        """Return reasons by index of records that cannot be rows whatever their value is."""
        if "key" not in self._derivation.coordinates:
            return {}
        try:
            raw["key"].cast(pa.string())
        except pa.ArrowInvalid:
            keys = raw["key"].to_pylist()
            return {n: _NO_TEXT for n, key in enumerate(keys) if key and not _is_text(key)}
        return {}

    def _coordinates(self, raw: pa.Table) -> dict[str, pa.ChunkedArray]:
        found: dict[str, pa.ChunkedArray] = {}
        for name in self._derivation.coordinates:
            match name:
                case "key":
                    found[name] = raw["key"].cast(pa.string())
                case "event_time":
                    found[name] = letters.event_times(raw)
                case _:
                    found[name] = raw[name]
        return found


def _with_derived(absent: pa.ChunkedArray, inputs: Mapping[str, frozenset[str]]) -> pa.ChunkedArray:
    """Return what changes say nothing of: also of what is derived from a column they leave out."""
    named = {name for names in inputs.values() for name in names}
    left_out = compute.list_flatten(absent)
    if not compute.any(compute.is_in(left_out, pa.array(sorted(named), pa.string()))).as_py():
        return absent
    wider = [
        names and [*names, *(name for name, reads in inputs.items() if not reads.isdisjoint(names))]
        for names in absent.to_pylist()
    ]
    return pa.chunked_array([pa.array(wider, absent.type)])


def _letters(raw: pa.Table, reasons: dict[int, str]) -> pa.Table:
    if not reasons:
        return letters.FOUND.empty_table()
    indexes = sorted(reasons)
    poison = raw.take(pa.array(indexes, pa.int64()))
    return letters.of_records(poison, [reasons[index] for index in indexes])


def _without(count: int, out: dict[int, str]) -> pa.Array:
    return compute.invert(compute.is_in(pa.arange(0, count), pa.array(list(out), pa.int64())))


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
