"""A table that declares a snapshot needs nothing but its file: ingest loads it first."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ingest.backfill.worlds import event, held, shop, write_rows
from tests.ingest.sources import Source
from tests.ingest.workers import working

from penstock.model import tables
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


def test_ingest_begins_with_the_snapshot_and_goes_on_with_the_topic(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    write_rows(tmp_path / "snap/a.parquet", [{"id": n, "v": n, "note": "old"} for n in range(100)])
    taken_at_ms = round(time.time() * 1000)
    source.send(
        [event("U", 3, 1_000, sequence=5), event("D", 4, None, sequence=6)], cluster="primary"
    )
    first = tables.Bootstrap(snapshot=str(tmp_path / "snap"), taken_at_ms=taken_at_ms)
    table = replace(shop(source.topic), bootstrap=first)
    expected = {n: n for n in range(100) if n != 4} | {3: 1_000}
    with working(source, tmp_path, table=table) as worker:
        wait_until(lambda: held(table, tmp_path) == expected, message=worker.progress.error)
    with working(source, tmp_path, table=table):
        source.send([event("U", 5, 2_000, sequence=7)], cluster="primary")
        wait_until(lambda: held(table, tmp_path) == expected | {5: 2_000}, message="once more")
