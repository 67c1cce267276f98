"""A table tried on real records: the pipeline that will run, on what the topic holds now.

    tables.Table, RAW ─Pipeline─▶ rows, letters ─▶ Trial(rows, reasons, keys, what a row costs)

Writes nothing; a record that is poison here would be a dead letter there, with the same reason.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute, parquet

from penstock.ingest.pipeline import Pipeline
from penstock.model import tables

__all__ = ["Keys", "Reason", "Trial", "attempt"]

_MEASURED_RECORDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why records are no rows.

    Attributes:
        example: ``cluster/topic/partition/offset`` of the first of them.
    """

    reason: str
    records: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """How well the columns of a key name rows.

    Attributes:
        columns: of the key; none means the records' own key.
        missing: rows without one.
        distinct: different keys among the others.
    """

    columns: tuple[str, ...]
    rows: int
    missing: int
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of records.

    Attributes:
        passed: records that say nothing to this table, e.g. events of another one.
        reasons: the most frequent first.
        row_bytes: of a row in Parquet; 0 where there is none.
        record_us: CPU time to make a row of a record, microseconds; 0 where there is none.
    """

    records: int
    rows: int
    passed: int
    reasons: tuple[Reason, ...]
    keys: Keys
    row_bytes: float
    record_us: float

    @property
    def poison(self) -> int:
        """Return how many records would be dead letters."""
        return sum(reason.records for reason in self.reasons)


def attempt(table: tables.Table, raw: pa.Table) -> Trial:
    """Make rows of records as ingest would.

    Args:
        table: the declaration.
        raw: as `records.RAW`.

    Raises:
        ConfigError: when the declaration cannot work.
        NotReady: when the schema registry does not answer.
    """
    pipeline = Pipeline(table)
    made = pipeline.transform(raw)
    rows, letters = made.rows, made.letters
    return Trial(
        records=raw.num_rows,
        rows=rows.num_rows,
        passed=raw.num_rows - rows.num_rows - letters.num_rows,
        reasons=_reasons(letters),
        keys=_keys(table.merge.primary_key, rows, raw),
        row_bytes=_row_bytes(rows),
        record_us=_record_us(pipeline, raw) if rows.num_rows else 0.0,
    )


def _reasons(letters: pa.Table) -> tuple[Reason, ...]:
    found: dict[str, list[str]] = {}
    for letter in letters.select(["reason", "cluster", "topic", "partition", "offset"]).to_pylist():
        reason = letter.pop("reason")
        found.setdefault(reason, []).append("/".join(map(str, letter.values())))
    return tuple(
        Reason(reason=reason, records=len(origins), example=origins[0])
        for reason, origins in sorted(found.items(), key=lambda item: -len(item[1]))
    )


def _keys(columns: Sequence[str], rows: pa.Table, raw: pa.Table) -> Keys:
    of = rows.select([*columns]) if columns else raw.select(["key"])
    present = of.drop_null()
    return Keys(
        columns=tuple(columns),
        rows=of.num_rows,
        missing=of.num_rows - present.num_rows,
        distinct=present.group_by(of.column_names).aggregate([]).num_rows,
    )


def _row_bytes(rows: pa.Table) -> float:
    if not rows.num_rows:
        return 0.0
    sink = pa.BufferOutputStream()
    parquet.write_table(rows, sink)
    return float(sink.getvalue().size) / float(rows.num_rows)


def _record_us(pipeline: Pipeline, raw: pa.Table) -> float:
    """Measure on the records themselves, said often enough for a clock."""
    fits = raw.filter(compute.is_valid(raw["value"]))
    times = max(1, _MEASURED_RECORDS // max(1, fits.num_rows))
    many = pa.concat_tables([fits] * times).combine_chunks()
    begun = time.process_time()
    pipeline.transform(many)
    return float((time.process_time() - begun) * 1e6 / max(1, many.num_rows))
