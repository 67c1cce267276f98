"""Rows on their way into Snowflake: Parquet files of names and types that it reads truthfully.

    rows ─staged─▶ the same, names in upper case, nested values as JSON text ─write─▶ one file

JSON has fewer types than a table: in it a decimal is text (no digit is lost), bytes are hex digits,
a date and a timestamp are ISO 8601 in UTC, NaN and the infinities are text, and so are a map's keys.
Pure but for `write`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from penstock.ingest import arrow_types
from penstock.ingest.sinks import feed
from penstock.ingest.sinks.snowflake_sql import CHANGE, VERSION
from penstock.ingest.sinks.snowflake_types import Column
from penstock.model import types

__all__ = ["as_json", "staged", "write"]


def staged(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Return rows as they are loaded, with their change and version where they are changes."""
    found = {
        column.name: as_json(rows[column.source])
        if column.type == "VARIANT"
        else rows[column.source]
        for column in columns
    }
    if feed.CHANGE in rows.column_names:
        found |= {CHANGE: rows[feed.CHANGE], VERSION: rows[feed.VERSION]}
    return pa.table(found)


def write(rows: pa.Table, path: Path) -> None:
    """Write one Parquet file."""
    parquet.write_table(rows, path, version="2.6", compression="snappy", store_schema=False)


def as_json(values: pa.ChunkedArray) -> pa.Array:
    """Return nested values as JSON texts; null stays null."""
    kind = arrow_types.from_arrow(values.type)
    return pa.array(
        [
            None
            if value is None
            else json.dumps(_plain(value, kind), ensure_ascii=False, separators=(",", ":"))
            for value in values.to_pylist()
        ],
        pa.string(),
    )


def _plain(value: Any, kind: types.Type) -> Any:
    """Return what JSON has for a value; Any: whatever Arrow gives for the type."""
    if value is None:
        return None
    match kind:
        case types.Array():
            return [_plain(each, kind.element) for each in value]
        case types.Map():
            return {_key(each): _plain(of, kind.value) for each, of in value}
        case types.Struct():
            return {field.name: _plain(value[field.name], field.type) for field in kind.fields}
        case _:
            return _single(value)


def _single(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex().upper()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return value


def _key(value: Any) -> str:
    plain = _single(value)
    return plain if isinstance(plain, str) else json.dumps(plain)
