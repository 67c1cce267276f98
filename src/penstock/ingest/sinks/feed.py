"""A Delta table's rows and its change data feed, in pieces of bounded size.

    version ─rows─▶ every row            span ─changes─▶ rows with _change_type and _commit_version

Whatever a feed has to be read from (change files, or the files a commit added and removed) is
delta-rs's to know. Joining and sorting files changes no row, so the feed has nothing of it. Never
writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from penstock.errors import NotReady
from penstock.ingest import delta
from penstock.ingest.sinks import versions

__all__ = ["CHANGE", "VERSION", "changes", "has_feed", "identity", "rows"]

CHANGE, VERSION = "_change_type", "_commit_version"
_PIECE_BYTES = 64 * 2**20
_LOG = re.compile(r"_delta_log/(\d{20})\.json")
_GONE = ("not found", "No such file", "Expected contiguous commit", "Invalid table version")


def identity(lake: delta.LakeTable) -> str:
    """Return the table's own id, which one made anew in its place has not."""
    return str(lake.table.metadata().id)


def has_feed(lake: delta.LakeTable) -> bool:
    """Tell whether the table keeps a change data feed."""
    return lake.table.metadata().configuration.get("delta.enableChangeDataFeed") == "true"


def rows(lake: delta.LakeTable) -> Iterator[pa.Table]:
    """Yield every row of the version that is open.

    Raises:
        NotReady: when the storage fails.
    """
    with delta.translated(lake.place):
        reader = pa.RecordBatchReader.from_stream(lake.table.scan())
        yield from _pieces(reader, lake.schema)


def changes(lake: delta.LakeTable, span: versions.Span) -> Iterator[pa.Table]:
    """Yield the changes of the span, in no order, with the columns of the version that is open.

    Raises:
        Refused: when the table does not keep them any more.
        NotReady: when the storage fails.
    """
    kept = [match[1] for name in lake.place.names("_delta_log") if (match := _LOG.search(name))]
    if not kept or int(min(kept)) > span.first:
        raise versions.gone(span)
    marks = [pa.field(CHANGE, pa.string()), pa.field(VERSION, pa.int64())]
    with _kept(span), delta.translated(lake.place):
        stream = lake.table.load_cdf(starting_version=span.first, ending_version=span.last)
        reader = pa.RecordBatchReader.from_stream(stream)
        yield from _pieces(reader, pa.schema([*_nullable(lake.schema), *marks]))


@contextmanager
def _kept(span: versions.Span) -> Iterator[None]:
    try:
        yield
    except NotReady as error:
        # Nothing but its words tells a file that is gone from a store that fails.
        if any(words in str(error.__cause__) for words in _GONE):
            raise versions.gone(span) from error
        raise


def _nullable(schema: pa.Schema) -> list[pa.Field]:
    """Return the columns without NOT NULL: files from before a column was added have none."""
    return [field.with_nullable(nullable=True) for field in schema]


def _pieces(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.nbytes for each in held) >= _PIECE_BYTES:
            yield _joined(held, schema)
            held = []
    if any(each.num_rows for each in held):
        yield _joined(held, schema)


def _joined(held: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(held).select(schema.names).cast(schema)
