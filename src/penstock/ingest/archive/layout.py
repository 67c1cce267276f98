"""What an archive's files are called and what is in them.

    BatchPlan N + RAW ─files_of─▶ date=2026-11-21/hour=08/0000000017.parquet …  ─encoded─▶ bytes

Guarantee: pure; the same plan and the same records give the same names and the same content, so a
batch that is archived again after a kill finds its own files there. Columns are those of
`records.RAW`; in JSON lines a key or a value that is no UTF-8 text is ``key_base64`` or
``value_base64`` instead.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from enum import StrEnum
from io import BytesIO
from typing import Any, assert_never

import orjson
import pyarrow as pa
from pyarrow import compute, parquet

from penstock.ingest.records import RAW

__all__ = ["BASE64", "Format", "encoded", "files_of"]

BASE64 = "_base64"
"""What the name of a field of JSON lines ends with when it holds bytes that are no text."""
_ROW_GROUP = 131_072
_ORDER = [(name, "ascending") for name in ("cluster", "topic", "partition", "offset")]


class Format(StrEnum):
    """What the files of an archive are."""

    PARQUET = "parquet"
    JSONL = "jsonl"


def files_of(number: int, raw: pa.Table, kind: Format) -> Iterator[tuple[str, pa.Table]]:
    """Yield the name and the records of each file of a batch, one an hour of event time.

    Args:
        number: of the batch.
        raw: its records, as `records.RAW`.
        kind: of the files.
    """
    hours = _hours(raw)
    for hour in compute.unique(hours).sort():
        own = raw.filter(compute.equal(hours, hour)).sort_by(_ORDER)
        yield f"{hour.as_py():date=%Y-%m-%d/hour=%H}/{number:010}.{kind}", own


def encoded(raw: pa.Table, kind: Format) -> bytes:
    """Return the content of a file."""
    match kind:
        case Format.PARQUET:
            out = BytesIO()
            parquet.write_table(raw, out, compression="zstd", row_group_size=_ROW_GROUP)
            return out.getvalue()
        case Format.JSONL:
            return b"".join(orjson.dumps(_line(row)) + b"\n" for row in raw.to_pylist())
        case _:
            assert_never(kind)


def _hours(raw: pa.Table) -> pa.ChunkedArray:
    # A record without a time has -1.
    times = compute.max_element_wise(raw["timestamp_ms"], pa.scalar(0, pa.int64()))
    return compute.floor_temporal(times.cast(pa.timestamp("ms")), unit="hour")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in RAW.names:
        value = row[name]
        if not isinstance(value, bytes):
            told[name] = value
            continue
        try:
            told[name] = value.decode()
        except UnicodeDecodeError:
            told[name + BASE64] = base64.b64encode(value).decode()
    return told
