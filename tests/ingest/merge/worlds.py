"""Changes of a small table, and what they must come to: a model of ten lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from penstock.ingest import changes
from penstock.ingest.changes import CONTROL
from penstock.model import tables

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("part", pa.string()),
        pa.field("a", pa.int64()),
        pa.field("b", pa.string()),
        *CONTROL,
    ]
)
KEY = ("id", "part")
MARKS = (changes.SEQUENCE, changes.TIME, changes.OFFSET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change; ``values`` holds the columns it tells."""

    key: tuple[int, str]
    operation: str = "U"
    sequence: int | None = None
    time: int = 0
    offset: int = 0
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, Any]:
        return {} if self.operation in "DT" else self.values

    @property
    def order(self) -> tuple[int, int, int]:
        return (-1 if self.sequence is None else self.sequence, self.time, self.offset)


def table_of(events: Sequence[Event]) -> pa.Table:
    """Return the events as changes."""
    rows = [
        {
            "id": event.key[0],
            "part": event.key[1],
            "a": event.told.get("a"),
            "b": event.told.get("b"),
            "_op": event.operation,
            "_sequence": event.sequence,
            "_ot": event.time,
            "_offset": event.offset,
            "_absent": None
            if event.operation in "DT"
            else [n for n in ("a", "b") if n not in event.values] or None,
        }
        for event in events
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def applied(events: Iterable[Event]) -> dict[tuple[int, str], dict[str, Any]]:
    """Apply the events one by one, oldest first."""
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for event in sorted(events, key=lambda each: each.order):
        if event.operation == "D":
            rows.pop(event.key, None)
        else:
            rows[event.key] = {"a": None, "b": None} | rows.get(event.key, {}) | event.values
    return rows


def rows_of(folded: Iterable[dict[str, Any]]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the rows that folded changes come to."""
    return {
        (row["id"], row["part"]): {"a": row["a"], "b": row["b"]}
        for row in folded
        if row.get("_op") != "D"
    }


def shop(**merge: Any) -> tables.Table:
    """Return the declaration of a table with the columns of `SCHEMA`."""
    return tables.Table(
        name="shop",
        topic="shop",
        environment="test",
        owner="shop",
        path="shop",
        mode=tables.TableMode.MERGE_CDC,
        columns=(
            tables.Column(name="id", type="long", nullable=False),
            tables.Column(name="part", type="string", nullable=False),
            tables.Column(name="a", type="long"),
            tables.Column(name="b", type="string"),
        ),
        merge=tables.Merge(primary_key=KEY, **merge),
    )
