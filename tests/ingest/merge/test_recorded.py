"""What a real Debezium and the SMT told of a real PostgreSQL, from the record to the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.ingest import fresh, locations
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.records import RAW
from penstock.ingest.targets import open_target
from penstock.model import tables

pytestmark = pytest.mark.real

RECORDED = Path(__file__).parents[2] / "connect/recorded/postgres.events.jsonl"


def columns(**types: str) -> tuple[tables.Column, ...]:
    return tuple(tables.Column(name=name, type=kind) for name, kind in types.items())


def declared(name: str, *, key: tuple[str, ...], **types: str) -> tables.Table:
    return tables.Table(
        name=name,
        topic="shop",
        environment="test",
        owner="shop",
        path=name,
        mode=tables.TableMode.MERGE_CDC,
        columns=columns(**types),
        merge=tables.Merge(
            primary_key=key, namespace=f"shop.{name}", truncation=tables.Truncation.APPLY
        ),
    )


DOCUMENTS = declared(
    "documents", key=("id",), id="long", title="string", body="string", amount="decimal(10,2)"
)
ORDERS = declared("orders", key=("region", "number"), region="string", number="long", note="string")


def recorded() -> list[bytes]:
    """Return the events of every table, as one topic of several tables would hold them."""
    lines = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
    return [json.dumps(line["value"]).encode() for line in lines if line.get("value")]


def raw_of(values: list[bytes], *, first: int) -> pa.Table:
    rows = [
        {
            "cluster": "primary",
            "topic": "shop",
            "partition": 0,
            "offset": first + index,
            "timestamp_ms": 0,
            "value": value,
        }
        for index, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=RAW)


def landed(
    lake: Path, table: tables.Table, values: list[bytes], *, batch: int
) -> list[dict[str, Any]]:
    """Land the events in batches of a size, and return the current rows."""
    pipeline = Pipeline(table)
    place = locations.locate(table.path, lake=lake)
    target = open_target(table, place, pipeline.schema)
    for number, first in enumerate(range(0, len(values), batch), start=1):
        made = pipeline.transform(raw_of(values[first : first + batch], first=first))
        assert made.letters.num_rows == 0, made.letters.to_pylist()
        target.commit(number, made.rows)
    names = [column.name for column in table.columns]
    found = [row for piece in fresh.read_fresh(table, place) for row in piece.to_pylist()]
    return [{name: row[name] for name in names} for row in found]


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_a_document_keeps_its_large_text_under_its_new_key(tmp_path: Path, batch: int) -> None:
    values = recorded()
    documents = [index for index, value in enumerate(values) if b'"shop.documents"' in value]
    until_deleted = values[: documents[-1]]
    (row,) = landed(tmp_path, DOCUMENTS, until_deleted, batch=batch)
    assert (row["id"], row["title"], str(row["amount"])) == (10, "second", "1.50")
    assert len(row["body"]) > 2_000


@pytest.mark.parametrize("batch", [1, 3, 1_000])
def test_orders_come_to_what_the_source_came_to(tmp_path: Path, batch: int) -> None:
    values = recorded()
    emptied = next(index for index, value in enumerate(values) if b'"oc": "T"' in value)
    found = landed(tmp_path, ORDERS, values[:emptied], batch=batch)
    assert {(row["region"], row["number"]): row["note"] for row in found} == {
        ("eu", 1): "after the incremental snapshot",
        ("eu", 3): "moved",
    }
    assert landed(tmp_path / "all", ORDERS, values, batch=batch) == []
