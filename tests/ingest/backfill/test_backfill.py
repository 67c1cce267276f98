"""An archive goes into a table beside its live stream: no key doubled, the newest row wins."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.ingest.backfill.worlds import event, held, load_of, rows_in, shop, write_rows
from tests.ingest.sources import Source
from tests.ingest.worker_process import make_table
from tests.ingest.workers import working

from penstock.errors import ConfigError, Refused
from penstock.ingest.backfill import asking
from penstock.ingest.backfill.beside import BesideTarget
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.pieces import Loads
from penstock.ingest.locations import locate
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.targets.merge import MergeTarget
from penstock.ingest.tombstones import Tombstones
from penstock.model import tables
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]
ARCHIVED = 100_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def archive_of(keys: range, *, sequence: int) -> pa.Table:
    count = len(keys)
    return pa.table(
        {
            "id": pa.array(keys, pa.int32()),
            "v": pa.repeat(pa.scalar(sequence), count),
            "note": pa.repeat(pa.scalar("archived"), count),
            "_sequence": pa.repeat(pa.scalar(sequence), count),
            "_ot": pa.repeat(pa.scalar(AT, pa.timestamp("us", "UTC")), count),
        }
    )


def test_a_large_archive_beside_live_changes_and_kills(
    source: Source, run_beside: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """Changes that are newer and older than the archive, and deletes, come in all the time."""
    lake, archive, table = tmp_path / "lake", tmp_path / "archive", shop(source.topic)
    for number, first in enumerate(range(0, ARCHIVED, 10_000)):
        path = archive / f"date=2026-01-01/hour={number:02}/a.parquet"
        write_rows(
            path, archive_of(range(first, first + 10_000), sequence=100), row_group_size=5000
        )
    expected: dict[int, int] = dict.fromkeys(range(ARCHIVED), 100)
    enough = threading.Event()

    def write() -> None:
        chance = random.Random(7)
        for n in itertools.count():
            # A key is always in one partition, as a producer that hashes it sends it.
            keys = chance.sample(range(ARCHIVED - 3), 99)
            events: list[bytes | None] = []
            for index, drawn in enumerate(keys):
                key = drawn - drawn % 3 + index % 3
                if chance.random() < 0.3:
                    events.append(event("U", key, -1, sequence=50))  # older than the archive
                elif chance.random() < 0.3:
                    events.append(event("D", key, None, sequence=1000 + n))
                    expected.pop(key, None)
                else:
                    events.append(event("U", key, n, sequence=1000 + n))
                    expected[key] = n
            source.send(events, cluster="primary")
            if enough.wait(0.05):
                return

    with working(source, lake, table=table):
        writer = threading.Thread(target=write)
        writer.start()
        try:
            load_with_kills(run_beside, topic=source.topic, archive=str(archive))
        finally:
            enough.set()
            writer.join()
        wait_until(
            lambda: held(table, lake) == expected,
            message="the archive and all changes",
        )
    assert len(rows_in(lake / "shop")) == len({r["id"] for r in rows_in(lake / "shop")})
    assert [t.state for t in asking.progress(table, locate("shop", lake=lake))] == ["done"]


def load_with_kills(run_beside: Start, **told: Any) -> None:
    told |= {"what": "load", "piece_rows": 25_000}
    for point, at in (("merge-before", 2), ("merge-after", 1)):
        assert run_beside(**told, die=point, at=at).wait(100) == -signal.SIGKILL
    assert run_beside(**told).wait(100) == 0


def test_a_delete_between_the_look_and_the_commit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live delete of a key that is not there yet is no conflict to Delta: it is mended."""
    table, place = shop("t"), locate("shop", lake=tmp_path)
    pipeline = Pipeline(table)
    live = MergeTarget(table, place, pipeline.schema)
    live.commit(1, pipeline.schema.empty_table())
    beside = BesideTarget(asking_table(table), place, pipeline.schema)
    look = Tombstones.of

    def looked(self: Tombstones, rows: pa.Table) -> pa.Table:
        found = look(self, rows)
        if self is beside._target.tombstones:
            monkeypatch.setattr(Tombstones, "of", look)
            live.commit(2, change(pipeline.schema, _op="D", id=1, _sequence=9))
        return found

    monkeypatch.setattr(Tombstones, "of", looked)
    old = [change(pipeline.schema, _op="U", id=n, v=n, _sequence=5) for n in (1, 2)]
    beside.commit(1, pa.concat_tables(old))
    assert [row["id"] for row in rows_in(tmp_path / "shop")] == [2]


@pytest.mark.parametrize("then", ["before the look", "after the look"])
def test_a_delete_that_changes_nothing_stays_when_the_row_comes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """The live stream has remembered the delete, or has looked at the table already."""
    table, place = shop("t"), locate("shop", lake=tmp_path)
    pipeline = Pipeline(table)
    live = MergeTarget(table, place, pipeline.schema)
    live.commit(1, pipeline.schema.empty_table())
    beside = BesideTarget(asking_table(table), place, pipeline.schema)
    record = MergeTarget.record

    def recorded(self: MergeTarget, number: int, rows: pa.Table) -> None:
        monkeypatch.setattr(MergeTarget, "record", record)
        if then == "after the look":
            record(self, number, rows)
        beside.commit(1, change(pipeline.schema, _op="U", id=1, v=1, _sequence=5))
        if then == "before the look":
            record(self, number, rows)

    monkeypatch.setattr(MergeTarget, "record", recorded)
    live.commit(2, change(pipeline.schema, _op="D", id=1, _sequence=9))
    assert rows_in(tmp_path / "shop") == []


def asking_table(table: tables.Table) -> tables.Table:
    return tables.Table(**{f: getattr(table, f) for f in table.__slots__} | {"name": "shop/other"})


def change(schema: pa.Schema, **values: Any) -> pa.Table:
    return pa.Table.from_pylist([values], schema=schema)


def test_pause_resume_and_cancel(wait_until: WaitUntil, tmp_path: Path) -> None:
    write_rows(tmp_path / "a/rows.parquet", archive_of(range(50), sequence=1), row_group_size=10)
    table, place = shop("t"), locate("shop", lake=tmp_path)
    load = load_of(table, tmp_path, tmp_path / "a", rate=100)
    loads = Loads(place)
    (name,) = loads.names()
    loads.ask(name, "pause")
    running = threading.Thread(target=load.run)
    running.start()
    wait_until(lambda: load.loaded.state == "paused", message="a pause")
    assert (asking.named(table, place).state, rows_in(tmp_path / "shop")) == ("paused", [])
    loads.resume(name)
    wait_until(lambda: load.loaded.pieces >= 1, message="a piece")
    loads.ask(name, "cancel")
    running.join(30)
    assert load.loaded.state == asking.named(table, place).state == "cancelled"
    assert 10 <= len(rows_in(tmp_path / "shop")) < 50
    loads.resume(name)
    assert load_of(table, tmp_path, tmp_path / "a").run().state == "done"
    assert len(rows_in(tmp_path / "shop")) == 50


def test_one_backfill_at_a_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rows(tmp_path / name / "rows.parquet", archive_of(range(5), sequence=1))
    load_of(shop("t"), tmp_path, tmp_path / "a")
    with pytest.raises(Refused, match="0 of 1 pieces"):
        load_of(shop("t"), tmp_path, tmp_path / "b")


def test_a_rate_is_kept(tmp_path: Path) -> None:
    write_rows(tmp_path / "a/rows.parquet", archive_of(range(40), sequence=1), row_group_size=10)
    begun_at = datetime.now(UTC)
    load_of(shop("t"), tmp_path, tmp_path / "a", rate=20).run()
    assert 1.9 <= (datetime.now(UTC) - begun_at).total_seconds() < 20


def test_lines_are_values_of_records_and_poison_is_a_letter(tmp_path: Path) -> None:
    events = [event("I", n, n, sequence=n) for n in range(30)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.jsonl").write_bytes(b"\n".join([*events, b"{poison"]))
    done = load_of(shop("t"), tmp_path, tmp_path / "a").run()
    assert (done.rows, done.letters) == (30, 1)
    assert {r["id"]: r["v"] for r in rows_in(tmp_path / "shop")} == {n: n for n in range(30)}
    (letter,) = rows_in(tmp_path / "shop_dead_letters")
    assert (letter["value"], letter["topic"]) == (b"{poison", "x.jsonl")


def test_rows_without_an_order_replace_none(tmp_path: Path) -> None:
    """A row that says nothing of its time may be of any time: what is there is newer."""
    table = shop("t", mode=tables.TableMode.MERGE)
    place, pipeline = locate("shop", lake=tmp_path), Pipeline(table)
    live = MergeTarget(table, place, pipeline.schema)
    live.commit(1, change(pipeline.schema, _op="U", id=1, v=7, _ot=AT, _offset=3))
    write_rows(tmp_path / "a/rows.parquet", [{"id": n, "v": 0} for n in (1, 2)])
    load_of(table, tmp_path, tmp_path / "a").run()
    assert {r["id"]: r["v"] for r in rows_in(tmp_path / "shop")} == {1: 7, 2: 0}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"v": 1}], "has no column 'id'"),
        ([{"id": None, "v": 1}, {"id": 1, "v": 1}], "1 rows without a value"),
        ([{"id": 2**40 + 0.5}], "cannot be int64"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    write_rows(tmp_path / "a/rows.parquet", rows)
    with pytest.raises(Refused, match=said):
        load_of(shop("t"), tmp_path, tmp_path / "a").run()
    assert rows_in(tmp_path / "shop") == []


def test_an_append_table_without_coordinates_asks_for_a_time(tmp_path: Path) -> None:
    record = {
        "cluster": "c", "topic": "t", "partition": 0, "offset": 0, "timestamp_ms": 5,
        "value": b'{"id": "a", "n": 1, "at": "2026-01-01T00:00:00Z"}',
    }  # fmt: skip
    write_rows(tmp_path / "a/rows.parquet", [record, {**record, "offset": 1, "timestamp_ms": 9}])
    table = make_table("t", derived=(), partition_by=())
    with pytest.raises(Refused, match="--until"):
        load_of(table, tmp_path, tmp_path / "a").run()
    Loads(locate("landed", lake=tmp_path)).ask(
        asking.named(table, locate("landed", lake=tmp_path)).name, "cancel"
    )
    assert load_of(table, tmp_path, tmp_path / "a", until_ms=9).run().rows == 1


def test_what_cannot_be_an_archive_is_told(tmp_path: Path) -> None:
    place = locate("nothing", lake=tmp_path)
    with pytest.raises(ConfigError, match="nothing is at"):
        Files(place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no Parquet file"):
        load_of(shop("t"), tmp_path, tmp_path / "empty")
