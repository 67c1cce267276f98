"""Each record of a topic is in its archive once, whatever is killed, and a backfill reads it back."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.backfill.worlds import load_of, rows_in
from tests.ingest.sources import Source, good, places
from tests.ingest.worker_process import make_snapshot, make_table
from tests.ingest.workers import working

from penstock.errors import Refused
from penstock.ingest import ledger
from penstock.ingest.archive import layout
from penstock.ingest.archive.archiver import Archiver, Route
from penstock.ingest.backfill.files import Files
from penstock.ingest.locations import Location, locate
from penstock.ingest.plan import Partition
from penstock.ingest.records import RAW
from penstock.testing.plugin import WaitUntil

Start = Callable[..., "subprocess.Popen[bytes]"]
ODD: list[bytes | None] = [None, b"", b"\xff\x00", "ü\u2028\n".encode(), b"not json"]


def archived(path: Path | str) -> list[dict[str, Any]]:
    place = locate(str(path), lake="/")
    if not any(name.startswith("date=") for name in place.names("")):
        return []
    files = Files(place)
    parts = files.parts(part_rows=100)
    return [row for part in parts for row in files.read(part).select(RAW.names).to_pylist()]


def told(path: Path | str) -> dict[tuple[str, int, int], bytes | None]:
    rows = archived(path)
    found = {(r["cluster"], r["partition"], r["offset"]): r["value"] for r in rows}
    assert len(found) == len(rows), "a record is there once"
    return found


@pytest.mark.real
def test_kills_around_every_step_neither_lose_nor_double(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    # Created are the archive's claim, a batch's plan, its file, its mark.
    points = [("write-after", 1), ("create-after", 3), ("create-before", 4), ("create-after", 4)]
    for point, at in points:
        for cluster in source.clusters:
            source.send([*ODD, *(good(n) for n in range(20))], cluster=cluster, key=b"\xfe")
        process = run_beside(
            what="archive", topic=source.topic, bootstraps=source.bootstraps, die=point, at=at
        )
        assert process.wait(60) == -signal.SIGKILL
    process = run_beside(what="archive", topic=source.topic, bootstraps=source.bootstraps)
    wait_until(lambda: len(archived(tmp_path / "archive")) >= len(source.acked), message="all")
    process.terminate()
    assert process.wait(60) == 0
    assert told(tmp_path / "archive") == source.acked
    assert {row["key"] for row in archived(tmp_path / "archive")} == {b"\xfe"}


@pytest.mark.real
def test_two_archivers_of_one_topic_do_not_double(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    both = [
        run_beside(what="archive", topic=source.topic, bootstraps=source.bootstraps)
        for _ in range(2)
    ]
    for n in range(0, 400, 20):
        source.send_rows(20, cluster="primary", first=n)
    wait_until(lambda: len(archived(tmp_path / "archive")) >= 400, message="400 records")
    source.send_rows(1, cluster="standby", first=400)
    wait_until(lambda: len(archived(tmp_path / "archive")) >= 401, message="one more")
    for process in both:
        process.terminate()
        assert process.wait(60) == 0
    assert told(tmp_path / "archive") == source.acked


@pytest.mark.real
def test_another_topic_is_refused_its_path(tmp_path: Path) -> None:
    place = locate(str(tmp_path), lake=tmp_path)
    stopping = threading.Event()
    stopping.set()
    snapshot = make_snapshot({"primary": "127.0.0.1:1"}, "a")
    Archiver(Route(topic="test/a", place=place), snapshot=lambda: snapshot, stopping=stopping).run()
    place.create("_penstock/archive.json", b'{"topic": "test/a", "format": "parquet"}')
    other = Archiver(
        Route(topic="test/b", place=place), snapshot=lambda: snapshot, stopping=threading.Event()
    )
    with pytest.raises(Refused, match="has the archive of topic test/a"):
        other.run()


@pytest.mark.real
def test_an_archive_fills_what_the_live_stream_has_not_read(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """The live stream begins in the topic's middle and goes on; kills come in the backfill."""
    for cluster in source.clusters:
        source.send([*(good(n) for n in range(60)), b"poison"], cluster=cluster)
    middle = {
        Partition(cluster=cluster, topic=source.topic, number=number): 10
        for cluster in source.clusters
        for number in range(3)
    }
    lake, table = tmp_path / "lake", make_table(source.topic)
    place = locate(table.path, lake=lake)
    ledger.Ledger(place).write(
        ledger.BatchPlan(number=1, begin={}, end=middle, kind=ledger.Kind.RESET)
    )
    archiver = run_beside(
        what="archive", topic=source.topic, bootstraps=source.bootstraps, format="jsonl"
    )
    with working(source, lake, table=table):
        wait_until(lambda: len(archived(tmp_path / "archive")) >= 122, message="an archive")
        wait_until(lambda: len(rows_in(lake / "landed")) >= 60, message="live rows")
        told_to_load = {"what": "load", "mode": "append", "topic": source.topic}
        for point in ("append-before", "append-after"):
            process = run_beside(**told_to_load, die=point)
            assert process.wait(60) == -signal.SIGKILL
            source.send_rows(30, cluster="primary", first=1000)
        assert run_beside(**told_to_load).wait(60) == 0
        goods = [p for p, value in source.acked.items() if value != b"poison"]
        wait_until(lambda: len(rows_in(lake / "landed")) >= len(goods), message="every row")
    archiver.terminate()
    assert places(rows_in(lake / "landed")) == sorted(goods)
    poison = sorted(p for p, value in source.acked.items() if value == b"poison")
    assert places(rows_in(lake / "landed_dead_letters")) == poison
    done = load_of(table, lake, tmp_path / "archive").run()
    assert (done.state, done.records) == ("done", 0), "asked again it has nothing to do"


values = st.one_of(st.none(), st.binary(max_size=20), st.text(max_size=5).map(str.encode))
records = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 9_000_000), values, values), max_size=8
)


@pytest.mark.unit
@given(found=records, kind=st.sampled_from(list(layout.Format)))
def test_records_read_back_are_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[tuple[int, int, bytes | None, bytes | None]],
    kind: layout.Format,
) -> None:
    rows = [
        {
            "cluster": "c", "topic": "t", "partition": partition, "offset": offset,
            "timestamp_ms": at, "key": key, "value": value, "record_id": None,
        }
        for offset, (partition, at, key, value) in enumerate(found)
    ]  # fmt: skip
    place = Location(uri=str(tmp_path_factory.mktemp("archive")))
    for name, own in layout.files_of(1, pa.Table.from_pylist(rows, schema=RAW), kind):
        assert place.create(name, layout.encoded(own, kind))
    read = sorted(archived(place.uri), key=lambda row: int(row["offset"]))
    assert read == rows
