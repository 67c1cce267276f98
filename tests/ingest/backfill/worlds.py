"""Tables and loads of the backfill's tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from penstock.ingest import delta, fresh, letters
from penstock.ingest.backfill import asking
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import Load
from penstock.ingest.locations import locate
from penstock.model import tables


def shop(topic: str, *, mode: tables.TableMode = tables.TableMode.MERGE_CDC) -> tables.Table:
    return tables.Table(
        name="shop",
        topic=topic,
        environment="test",
        owner="tests",
        path="shop",
        mode=mode,
        latency_ms=100,
        columns=(
            tables.Column(name="id", type="long", nullable=False),
            tables.Column(name="v", type="long"),
            tables.Column(name="note", type="string"),
        ),
        merge=tables.Merge(primary_key=("id",)),
    )


def event(
    operation: str, key: int, v: int | None, *, sequence: int | None, at_ms: int = 1
) -> bytes:
    told: dict[str, Any] = {"oc": operation, "ns": "shop", "ot": at_ms, "pk": {"id": key}}
    told["va"] = None if operation == "D" else {"v": v, "note": f"n{v}"}
    return json.dumps(told | ({} if sequence is None else {"sq": sequence})).encode()


def load_of(
    table: tables.Table,
    lake: Path | str,
    archive: Path | str,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    stopping: threading.Event | None = None,
    piece_rows: int = 10,
    rate: float = 0.0,
    **asked: Any,
) -> Load:
    place = locate(table.path, lake=lake)
    files = Files(locate(str(archive), lake=lake))
    planned = asking.planned(table, place, files, piece_rows=piece_rows, **asked)
    return Load(
        table,
        planned,
        files,
        place=place,
        letters_place=letters.location(table, place, lake=lake),
        clock=clock,
        rate=rate,
        stopping=stopping or threading.Event(),
    )


def write_rows(path: Path, rows: list[dict[str, Any]] | pa.Table, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(
        pa.Table.from_pylist(rows) if isinstance(rows, list) else rows, path, **options
    )


def rows_in(path: Path) -> list[dict[str, Any]]:
    table = delta.read_table(path)
    return pa.table(table.newest(10**9)).to_pylist() if table else []


def held(table: tables.Table, lake: Path) -> dict[int, int]:
    """Return what a merged table holds by key, with what lies in its log of changes."""
    place = locate(table.path, lake=lake)
    rows = [row for piece in fresh.read_fresh(table, place) for row in piece.to_pylist()]
    found = {row["id"]: row["v"] for row in rows}
    assert len(found) == len(rows), "a key is there once"
    return found
