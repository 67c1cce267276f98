"""A table that begins with a snapshot ends equal to its source, with writes going on all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.ingest.backfill.worlds import event, held, rows_in, shop, write_rows
from tests.ingest.sources import Source
from tests.ingest.worker_process import make_snapshot
from tests.ingest.workers import working

from penstock.errors import Refused
from penstock.ingest import bootstrap, delta, merging, plan
from penstock.ingest.backfill.pieces import Loads
from penstock.ingest.ledger import BatchPlan, Kind, Ledger
from penstock.ingest.locations import locate
from penstock.ingest.readers import ClusterReader, Reading
from penstock.model import tables
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


class Killed(BaseException):
    """Stands for a kill: nothing after it ran, and nobody handled it."""


def positions_at(source: Source) -> Callable[[int], plan.Positions]:
    def find(timestamp_ms: int) -> plan.Positions:
        snapshot = make_snapshot(source.bootstraps, source.topic)
        found: dict[plan.Partition, int] = {}
        for cluster in snapshot.clusters.values():
            own = [plan.Source(cluster=cluster.name, topic=source.topic, partitions=3)]
            reading = Reading(name="test", queue_kib=1024)
            with closing(ClusterReader(cluster, own, begin={}, reading=reading)) as reader:
                found |= reader.offsets_at(timestamp_ms)
        return found

    return find


def prepare(table: tables.Table, lake: Path, at_time: Callable[[int], plan.Positions]) -> bool:
    place = locate(table.path, lake=lake)
    there = delta.read_table(place)
    return bootstrap.prepare(
        table,
        place,
        last=there.last(f"penstock/{table.ident}") if there else 0,
        lake=lake,
        at_time=at_time,
        clock=lambda: datetime.now(UTC),
        stopping=threading.Event(),
    )


class Database:
    """A source whose every change is an event: what it holds, and what it tells."""

    def __init__(self, source: Source) -> None:
        self.rows: dict[int, int] = {}
        self._source = source
        self._sequence = 0
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._writer = threading.Thread(target=self._write)
        self._writer.start()

    def stop(self) -> None:
        self._enough.set()
        self._writer.join()

    def _write(self) -> None:
        first = 0
        while not self._enough.wait(0.02):
            self.change(range(first, first + 30))
            first = (first + 30) % 900

    def change(self, keys: range) -> None:
        events: list[bytes | None] = []
        with self._lock:
            for key in keys:
                self._sequence += 1
                if self._sequence % 7 == 0:
                    self.rows.pop(key, None)
                    events.append(event("D", key, None, sequence=self._sequence))
                else:
                    self.rows[key] = self._sequence
                    events.append(event("U", key, self._sequence, sequence=self._sequence))
            self._source.send(events, cluster="primary")

    def snapshot(self) -> tuple[int, list[dict[str, Any]]]:
        with self._lock:
            rows = [{"id": k, "v": v, "note": f"n{v}"} for k, v in self.rows.items()]
            return round(time.time() * 1000), rows


@pytest.fixture
def database(source: Source) -> Iterator[Database]:
    """Give a source that changes all the time."""
    database = Database(source)
    yield database
    database.stop()


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_snapshot_and_the_topic_come_to_the_source_under_load(
    source: Source,
    database: Database,
    *,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    wait_until(lambda: len(database.rows) > 700, message="rows")
    taken_at_ms, rows = database.snapshot()
    found = pa.Table.from_pylist(rows)
    if kind == "parquet":
        write_rows(tmp_path / "snap/a.parquet", found.slice(0, 300), row_group_size=100)
        write_rows(tmp_path / "snap/b.parquet", found.slice(300))
    else:
        write_deltalake(tmp_path / "snap", found.slice(0, 300))
        write_deltalake(tmp_path / "snap", found.slice(300), mode="append")
    first = tables.Bootstrap(
        snapshot=str(tmp_path / "snap"), taken_at_ms=taken_at_ms, margin_ms=200
    )
    table = replace(shop(source.topic), bootstrap=first)
    monkeypatch.setattr(bootstrap, "_PIECE_ROWS", 100)
    with monkeypatch.context() as patched:
        kill_at_merge(patched, number=2)
        with pytest.raises(Killed):
            prepare(table, tmp_path, positions_at(source))
    assert prepare(table, tmp_path, positions_at(source))
    begun = Ledger(locate("shop", lake=tmp_path)).read(1)
    assert begun is not None
    assert begun.kind is Kind.RESET
    assert any(begun.end.values()), "the topic is read from its middle"
    assert {r["id"]: r["v"] for r in rows_in(tmp_path / "shop")} == {r["id"]: r["v"] for r in rows}
    with working(source, tmp_path, table=table):
        database.stop()
        wait_until(
            lambda: held(table, tmp_path) == database.rows,
            message="the source's rows",
        )


def test_the_worker_begins_with_the_snapshot(
    source: Source, database: Database, wait_until: WaitUntil, tmp_path: Path
) -> None:
    wait_until(lambda: len(database.rows) > 300, message="rows")
    taken_at_ms, rows = database.snapshot()
    write_rows(tmp_path / "snap/a.parquet", rows)
    begun = tables.Bootstrap(snapshot="snap", taken_at_ms=taken_at_ms, margin_ms=200)
    table = replace(shop(source.topic), bootstrap=begun)
    with working(source, tmp_path, table=table):
        wait_until(lambda: len(rows_in(tmp_path / "shop")) > 300, message="the snapshot")
        database.stop()
        wait_until(lambda: held(table, tmp_path) == database.rows, message="the source's rows")
    first = Ledger(locate("shop", lake=tmp_path)).read(1)
    assert first is not None
    assert first.request == bootstrap.NAME


def kill_at_merge(patched: pytest.MonkeyPatch, *, number: int) -> None:
    merge = merging.KeyedTable.merge
    calls = []

    def killed(self: merging.KeyedTable, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        done = merge(self, *args, **kwargs)
        if len(calls) == number:
            raise Killed
        return done

    patched.setattr(merging.KeyedTable, "merge", killed)


def test_a_table_that_has_begun_is_left_alone(tmp_path: Path) -> None:
    write_rows(tmp_path / "snap/a.parquet", [{"id": 1, "v": 1}])
    table = replace(shop("t"), bootstrap=tables.Bootstrap(snapshot="snap"))
    place = locate("shop", lake=tmp_path)
    Ledger(place).write(BatchPlan(number=1, begin={}, end={}))
    assert prepare(table, tmp_path, lambda _: {})
    assert rows_in(tmp_path / "shop") == []


def test_a_snapshot_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "snap/a.parquet", [{"v": 1}])
    table = replace(shop("t"), bootstrap=tables.Bootstrap(snapshot="snap"))
    with pytest.raises(Refused, match="has no column 'id'"):
        prepare(table, tmp_path, lambda _: {})


def test_a_cancelled_bootstrap_stops_the_table_and_goes_on_when_resumed(tmp_path: Path) -> None:
    write_rows(tmp_path / "snap/a.parquet", [{"id": 1, "v": 1}])
    table = replace(shop("t"), bootstrap=tables.Bootstrap(snapshot="snap"))
    loads = Loads(locate("shop", lake=tmp_path))
    loads.ask("bootstrap", "cancel")
    with pytest.raises(Refused, match="was cancelled"):
        prepare(table, tmp_path, lambda _: {})
    loads.resume("bootstrap")
    assert prepare(table, tmp_path, lambda _: {})
    assert held(table, tmp_path) == {1: 1}
