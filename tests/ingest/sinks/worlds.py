"""A table in the lake that changes, its copy, and whether they are equal."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from penstock.ingest.locations import Location
from penstock.ingest.sinks.snowflake_client import Client
from penstock.model import tables

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("small", pa.int16()),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("weight", pa.float64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("day", pa.date32()),
        pa.field("raw", pa.binary()),
        pa.field("active", pa.bool_()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("box", pa.struct([("n", pa.int64()), ("when", pa.timestamp("us", tz="UTC"))])),
        pa.field("counts", pa.map_(pa.string(), pa.int64())),
    ]
)
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def orders(*, key: Sequence[str] = ("id",)) -> tables.Table:
    return tables.Table(
        name="shop-orders",
        topic="orders",
        environment="dev",
        owner="shop",
        path="orders",
        merge=tables.Merge(primary_key=tuple(key)),
    )


def row(ident: int, text: str) -> dict[str, Any]:
    if text == "empty":
        return {"id": ident}
    at = _BEGIN + timedelta(seconds=ident, microseconds=123_456)
    return {
        "id": ident,
        "name": f'{text}\'s "ö" \n{ident}',
        "small": ident % 1000,
        "price": Decimal(ident) / 100,
        "weight": ident / 7,
        "at": at,
        "day": at.date(),
        "raw": bytes([ident % 256, 0, 255]),
        "active": ident % 2 == 0,
        "tags": [text, None],
        "box": {"n": ident, "when": at},
        "counts": [("a", ident), ("b", None)],
    }


def rows(idents: Sequence[int], text: str, schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist([row(ident, text) for ident in idents], schema=schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    """A Delta table that is changed as a merge changes it."""

    path: Path

    @property
    def place(self) -> Location:
        return Location(uri=str(self.path))

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(str(self.path))

    def create(self, *, feed: bool = True) -> Lake:
        told = {"delta.enableChangeDataFeed": "true"} if feed else {}
        DeltaTable.create(str(self.path), SCHEMA, configuration=told)
        return self

    def append(self, idents: Sequence[int], text: str = "first") -> None:
        write_deltalake(self.table, rows(idents, text), mode="append")

    def upsert(self, idents: Sequence[int], text: str) -> None:
        merge = self.table.merge(
            rows(idents, text), "t.id = s.id", source_alias="s", target_alias="t"
        )
        merge.when_matched_update_all().when_not_matched_insert_all().execute()

    def delete(self, idents: Sequence[int]) -> None:
        self.table.delete(f"id IN ({', '.join(map(str, idents))})")

    def change(self, generator: random.Random) -> None:
        """Commit something: inserts, updates, deletes, a new key, or files joined."""
        some = sorted(generator.sample(range(60), 12))
        match generator.randrange(6):
            case 0:
                self.delete(some)
            case 1:
                self.table.optimize.compact()
            case 2:
                old, new = some[0], generator.randrange(1000, 10**6)
                self.table.update(predicate=f"id = {old}", updates={"id": str(new)})
            case _:
                self.upsert(some, f"text-{generator.randrange(1000)}")

    def rows(self) -> list[dict[str, Any]]:
        found = pa.RecordBatchReader.from_stream(self.table.scan()).read_all()
        return sorted((_seen(each) for each in found.to_pylist()), key=repr)


def copied_rows(client: Client, name: str = "SHOP_ORDERS") -> list[dict[str, Any]]:
    """Return the copy's rows as the lake has them, by Snowflake's own words for its columns."""
    names = [str(told[0]) for told in client.run(f'DESCRIBE TABLE "{name}"')]
    # fakesnow hands a null of a timestamp over as 1970: what is null is asked for.
    listed = ", ".join([*(f'"{each}"' for each in names), '"AT" IS NULL'])
    found = []
    for *values, null in client.run(f'SELECT {listed} FROM "{name}"'):
        one = dict(zip((each.lower() for each in names), values, strict=True))
        one["at"] = None if null else one["at"]
        for nested in ("tags", "box", "counts"):
            if one[nested] is not None:
                one[nested] = json.loads(one[nested])
        one["raw"] = None if one["raw"] is None else bytes(one["raw"])
        found.append(one)
    return sorted(found, key=repr)


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(row)
    if found["box"] is not None:
        when = found["box"]["when"]
        told = None if when is None else when.isoformat().replace("+00:00", "Z")
        found["box"] = {"n": found["box"]["n"], "when": told}
    found["counts"] = None if found["counts"] is None else dict(found["counts"])
    return found
