"""Records as read: one Arrow table a poll, the same for every engine.

    a client's messages ─from_messages─▶ RAW ─▶ batches, decoders, dead letters

The client's own objects go no further than here, and no Python object a record is made of them
that Arrow does not take at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.ingest.plan import Gap, Source
from penstock.telemetry import attributes

__all__ = ["RAW", "Chunk", "Polled", "from_messages"]

RAW = pa.schema(
    [
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp_ms", pa.int64()),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("record_id", pa.string()),
    ]
)
"""Columns of records: a null value is a tombstone; `record_id` is null for one that another
producer than the SDK sent, or where no column is made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Records of one physical topic, as `RAW`; those of a partition are in order."""

    source: Source
    raw: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What one poll of one cluster gave.

    Attributes:
        more: whether it gave as much as it could, so that there may be more at once.
    """

    chunks: tuple[Chunk, ...] = ()
    gaps: tuple[Gap, ...] = ()
    more: bool = False


def from_messages(source: Source, messages: Sequence[Any], *, record_ids: bool) -> pa.Table:
    """Return messages of one topic as `RAW`.

    Args:
        source: where they were read.
        messages: the client's, none of them an error.
        record_ids: whether to read the SDK's record id from the headers, which costs a microsecond
            a record.
    """
    # Unbound methods under `map` run without a line of Python a record: a third of the cost.
    kind = type(messages[0])
    count = len(messages)
    arrays = [
        pa.repeat(pa.scalar(source.cluster), count),
        pa.repeat(pa.scalar(source.topic), count),
        pa.array(list(map(kind.partition, messages)), pa.int32()),
        pa.array(list(map(kind.offset, messages)), pa.int64()),
        pa.array([at for _, at in map(kind.timestamp, messages)], pa.int64()),
        pa.array(list(map(kind.key, messages)), pa.binary()),
        pa.array(list(map(kind.value, messages)), pa.binary()),
        pa.array(list(map(_record_id, messages)), pa.string())
        if record_ids
        else pa.nulls(count, pa.string()),
    ]
    return pa.Table.from_arrays(arrays, schema=RAW)


def _record_id(message: Any) -> str | None:
    headers: list[tuple[str, bytes]] = message.headers() or []
    for name, value in headers:
        if name == attributes.CE_ID:
            return value.decode(errors="replace")
    return None
