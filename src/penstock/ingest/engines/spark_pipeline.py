"""The pipeline inside Spark's Python workers: the same code, and so the same rows and letters.

    RAW ─mapInArrow: Pipeline.transform a batch─▶ rows with a null _letter, letters with null columns
                                               └─▶ how many records are neither, where any are
    RAW ─mapInArrow─▶ rows alone, or a failure at the first letter

One pass makes both, since a second would read Kafka again. The driver opens the pipeline once to
know its columns; each worker opens its own from the declaration, which is all that travels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.errors import DataError
from penstock.ingest import arrow_types, letters
from penstock.ingest.pipeline import Pipeline, Transformed
from penstock.ingest.records import RAW
from penstock.model import tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "LETTER",
    "Counts",
    "clean",
    "counts",
    "ddl",
    "letters_of",
    "nullable",
    "rows_of",
    "transformed",
]

LETTER = "_letter"
"""Column that holds a dead letter; null for a row. Without a reason it is no letter: its offset is
how many records have nothing to say to the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What there is of each in a batch; a record may be neither row nor letter."""

    records: int
    rows: int
    letters: int


def transformed(raw: DataFrame, table: tables.Table, rows: pa.Schema) -> DataFrame:
    """Return rows and letters of the records.

    Args:
        raw: as `records.RAW`.
        table: the declaration.
        rows: the pipeline's schema.
    """
    packed = nullable(rows).append(pa.field(LETTER, pa.struct(nullable(letters.FOUND))))
    return raw.mapInArrow(_Transform(table, packed), ddl(packed))


def clean(raw: DataFrame, table: tables.Table, rows: pa.Schema) -> DataFrame:
    """Return the rows of records that are all good: what computes it fails with DataError if not.

    Args:
        raw: as `records.RAW`.
        table: the declaration.
        rows: the pipeline's schema.
    """
    schema = nullable(rows)
    return raw.mapInArrow(_Clean(table, schema), ddl(schema))


def rows_of(frame: DataFrame) -> DataFrame:
    """Return the rows among what `transformed` gives."""
    return frame.where(f"{LETTER} IS NULL").drop(LETTER)


def letters_of(frame: DataFrame, *, most: int | None = None) -> pa.Table:
    """Return the letters among what `transformed` gives, as `letters.FOUND`.

    They come to the driver: they are few, or the table stops and only one is asked for.

    Args:
        frame: of rows and letters.
        most: so many at most, whichever; else all.
    """
    among = frame.where(f"{LETTER}.reason IS NOT NULL").select(f"{LETTER}.*")
    found = (among if most is None else among.limit(most)).toArrow()
    order = [(name, "ascending") for name in ("cluster", "topic", "partition", "offset")]
    return found.cast(letters.FOUND).sort_by(order)


def counts(frame: DataFrame) -> Counts:
    """Return how many records, rows and letters there are."""
    found = frame.selectExpr(
        f"count_if({LETTER} IS NULL) AS rows",
        f"count({LETTER}.reason) AS letters",
        f"coalesce(sum(CASE WHEN {LETTER}.reason IS NULL THEN {LETTER}.offset END), 0) AS neither",
    ).collect()[0]
    rows, letters_, neither = found
    return Counts(records=rows + letters_ + neither, rows=rows, letters=letters_)


def nullable(schema: pa.Schema) -> pa.Schema:
    """Return the schema with every column nullable, as it is between Spark and Python."""
    return pa.schema([field.with_nullable(nullable=True) for field in schema])


def ddl(schema: pa.Schema) -> str:
    """Return the columns as Spark declares them."""
    return ", ".join(
        f"`{field.name.replace('`', '``')}` {arrow_types.from_arrow(field.type)}"
        for field in schema
    )


@dataclass(frozen=True)
class _Transform:
    """What Spark pickles and calls, once a task."""

    table: tables.Table
    packed: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch, made in _made(self.table, batches):
            yield from self._packed_rows(made.rows)
            neither = batch.num_rows - made.rows.num_rows - made.letters.num_rows
            if made.letters.num_rows or neither:
                yield from self._packed_letters(
                    pa.concat_tables([made.letters.cast(nullable(letters.FOUND)), _number(neither)])
                )

    def _packed_rows(self, rows: pa.Table) -> Iterable[pa.RecordBatch]:
        none = pa.nulls(rows.num_rows, self.packed.field(LETTER).type)
        columns = [*rows.columns, none]
        return self._batches(columns)

    def _packed_letters(self, found: pa.Table) -> Iterable[pa.RecordBatch]:
        whole = pa.StructArray.from_arrays(
            [column.combine_chunks() for column in found.columns],
            fields=list(self.packed.field(LETTER).type),
        )
        none = [pa.nulls(found.num_rows, field.type) for field in self.packed][:-1]
        return self._batches([*none, whole])

    def _batches(self, columns: list[pa.Array]) -> Iterable[pa.RecordBatch]:
        return _typed(columns, self.packed)


@dataclass(frozen=True)
class _Clean:
    """What Spark pickles and calls, once a task, where it takes all records for good."""

    table: tables.Table
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, made in _made(self.table, batches):
            if made.letters.num_rows:
                raise DataError(made.letters["reason"][0].as_py())
            yield from _typed(made.rows.columns, self.schema)


def _made(
    table: tables.Table, batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, Transformed]]:
    pipeline = Pipeline(table)
    for batch in batches:
        yield batch, pipeline.transform(pa.Table.from_batches([batch]).cast(RAW))


def _typed(columns: list[pa.Array], schema: pa.Schema) -> list[pa.RecordBatch]:
    typed = [
        column.cast(field.type) if column.type != field.type else column
        for column, field in zip(columns, schema, strict=True)
    ]
    batches: list[pa.RecordBatch] = pa.Table.from_arrays(typed, schema=schema).to_batches()
    return batches


def _number(neither: int) -> pa.Table:
    """Return what tells a number of records that are neither row nor letter; nothing for none."""
    told = [{"offset": neither}] if neither else []
    return pa.Table.from_pylist(told, schema=nullable(letters.FOUND))
