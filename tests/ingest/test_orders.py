"""What people ask of a table that runs, and what is done when its columns change."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.ingest.sources import Source, good, places, read
from tests.ingest.worker_process import COLUMNS, make_table
from tests.ingest.workers import working

from penstock.ingest import decoders, delta, letters, obeying
from penstock.ingest.engines.embedded import EmbeddedEngine
from penstock.ingest.locations import locate
from penstock.ingest.orders import Kind, Orders
from penstock.ingest.progress import State
from penstock.model import tables
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


def test_a_paused_table_stands_still_until_it_is_resumed(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    orders = Orders(locate("landed", lake=tmp_path))
    source.send_rows(6, cluster="primary")
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 6, message="6 rows")
        orders.pause()
        wait_until(lambda: worker.progress.state is State.PAUSED, message="paused")
        source.send_rows(6, cluster="primary", first=6)
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.PAUSED, message="paused in a new one")
        assert worker.progress.rows == 6
        orders.resume()
        wait_until(lambda: worker.progress.rows == 12, message="12 rows")
    assert places(read(tmp_path / "landed")) == sorted(source.acked)


def test_a_reset_goes_on_from_a_time_once(
    source: Source, wait_until: WaitUntil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker fails after the reset is committed, before its order is taken away."""
    orders = Orders(locate("landed", lake=tmp_path))
    source.send_rows(9, cluster="primary")
    failures = iter([True])

    def done(self: Orders, order: object) -> None:
        if next(failures, False):
            raise OSError("as a kill does")
        really_done(self, order)  # type: ignore[arg-type]

    really_done = Orders.done
    monkeypatch.setattr(Orders, "done", done)
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 9, message="9 rows")
        order = orders.ask(Kind.RESET, timestamp_ms=0)
        wait_until(lambda: worker.progress.state is State.STOPPED, message="it failed")
    with working(source, tmp_path) as worker:
        wait_until(lambda: not orders.is_open(order), message="the order is done")
        wait_until(lambda: worker.progress.rows == 18, message="every row once more")
        source.send_rows(3, cluster="primary", first=9)
        wait_until(lambda: worker.progress.rows == 21, message="3 rows more")


@pytest.mark.parametrize("fails", ["", "after the plan", "after the rows", "in the second slice"])
def test_letters_are_replayed_each_once(
    source: Source,
    wait_until: WaitUntil,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    place = locate("landed", lake=tmp_path)
    strict = make_table(source.topic, dead_letters=tables.DeadLetters(max_ratio=1.0))
    record = tables.DerivedColumn(name="record", expression="record_id")
    strict = replace(
        strict,
        columns=(*COLUMNS, tables.Column(name="x", type="long")),
        derived=(*strict.derived, record),
    )
    source.send(
        [json.dumps({"id": f"r{n}", "x": str(n)}).encode() for n in range(7)],
        cluster="primary",
        ids=[f"i{n}" for n in range(7)],
    )
    source.send([b"null", None, json.dumps({"id": "g", "x": 1}).encode()], cluster="standby")
    with working(source, tmp_path, table=strict) as worker:
        wait_until(lambda: worker.progress.rows == 1, message="the good row")
        wait_until(lambda: worker.progress.letters == 9, message="9 letters")
    # The schema stays as it is; what changes is what can be read: here by another decoder.
    monkeypatch.setattr("penstock.ingest.pipeline.open_decoder", _forgiving)
    failures = iter([True])
    if fails == "after the plan":
        _fail_once(monkeypatch, EmbeddedEngine, "run", failures)
    elif fails == "after the rows":
        _fail_once(monkeypatch, letters.DeadLetters, "remove", failures)
    elif fails:
        _fail_once(monkeypatch, EmbeddedEngine, "run", iter([False, True]))
    monkeypatch.setattr(obeying, "_SLICE_ROWS", 4)
    order = Orders(place).ask(Kind.REPLAY)
    if fails:
        with working(source, tmp_path, table=strict) as worker:
            wait_until(lambda: worker.progress.state is State.STOPPED, message="it failed")
    with working(source, tmp_path, table=strict) as worker:
        wait_until(lambda: not Orders(place).is_open(order), message="the order is done")
    rows, left = read(tmp_path / "landed"), read(tmp_path / "landed_dead_letters")
    assert sorted(row["id"] for row in rows) == ["g", *(f"r{n}" for n in range(7))]
    assert [row["record"] for row in sorted(rows, key=lambda row: row["id"])] == [
        None, *(f"i{n}" for n in range(7)),
    ]  # fmt: skip
    assert places(rows) == sorted(p for p, v in source.acked.items() if v and v.startswith(b"{"))
    assert {each["value"] for each in left} == {None, b"null"}
    assert len(left) == 2


def test_a_replay_that_is_killed_again_and_again_makes_each_letter_a_row_once(
    source: Source, run_worker: Callable[..., Any], wait_until: WaitUntil, tmp_path: Path
) -> None:
    """More letters than a slice holds; some can be no rows."""
    place = locate("landed", lake=tmp_path / "lake")
    count = 60_000
    at = datetime(2026, 11, 21, tzinfo=UTC)
    told = {
        "reason": pa.repeat(pa.scalar("once"), count),
        "cluster": pa.repeat(pa.scalar("primary"), count),
        "topic": pa.repeat(pa.scalar(source.topic), count),
        "partition": pa.repeat(pa.scalar(0, pa.int32()), count),
        "offset": pa.array(range(count), pa.int64()),
        "event_time": pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), count),
        "key": pa.repeat(pa.scalar(b"k"), count),
        "value": pa.array([good(n) if n % 1000 else b"{" for n in range(count)], pa.binary()),
        "record_id": pa.nulls(count, pa.string()),
    }
    dead = letters.DeadLetters(
        make_table(source.topic, name="before"), place.sibling("_dead_letters"), clock=lambda: at
    )
    dead.write(1, pa.table(told, schema=letters.FOUND))
    order = Orders(place).ask(Kind.REPLAY)
    for point in ("planned", "after", "before"):
        assert run_worker(source, die=point).wait(100) == -signal.SIGKILL
    assert Orders(place).is_open(order)
    worker = run_worker(source)
    wait_until(lambda: not Orders(place).is_open(order), message="the order is done")
    worker.terminate()
    assert worker.wait(60) == 0
    rows = read(tmp_path / "lake/landed")
    assert sorted(row["offset"] for row in rows) == [n for n in range(count) if n % 1000]
    left = read(tmp_path / "lake/landed_dead_letters")
    assert sorted(row["offset"] for row in left) == list(range(0, count, 1000))


def _fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, failures: object) -> None:
    really: Callable[..., object] = getattr(owner, name)

    def failing(*args: object, **kwargs: object) -> object:
        if next(failures, False):  # type: ignore[call-overload]
            raise OSError("as a kill does")
        return really(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)


def _forgiving(table: tables.Table) -> object:
    """A decoder that takes numbers in quotes."""
    inner = decoders.open_decoder(table)

    class Forgiving:
        schema = inner.schema

        def decode(self, values: pa.Array) -> pa.Table:
            plain = []
            for value in values.to_pylist():
                fields = json.loads(value) if value.startswith(b"{") else None
                if fields is not None and isinstance(fields.get("x"), str):
                    fields["x"] = int(fields["x"])
                plain.append(value if fields is None else json.dumps(fields).encode())
            return inner.decode(pa.array(plain, pa.binary()))

    return Forgiving()


def test_compaction_is_done_when_asked_and_keeps_the_change_feed(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    place = locate("landed", lake=tmp_path)
    table = make_table(source.topic, partition_by=(), change_feed=True, latency_ms=0)
    with working(source, tmp_path, table=table) as worker:
        for n in range(6):
            source.send_rows(3, cluster="primary", first=3 * n)
            wait_until(lambda: worker.progress.rows == len(source.acked), message="its rows")
        files = worker.progress.files
        assert files >= 6
        order = Orders(place).ask(Kind.COMPACT)
        wait_until(lambda: not Orders(place).is_open(order), message="compacted")
        wait_until(lambda: worker.progress.files < files, message="fewer files")
    lake = delta.read_table(place)
    assert lake is not None
    assert lake.rows == 18
    feed = lake.table.load_cdf(starting_version=1).read_all()
    inserted = [kind for kind in feed["_change_type"].to_pylist() if kind == "insert"]
    assert len(inserted) == 18, "compaction is no change of rows"


def test_columns_are_added_where_the_policy_says_so(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    table = make_table(source.topic, partition_by=())
    source.send_rows(3, cluster="primary")
    with working(source, tmp_path, table=table) as worker:
        wait_until(lambda: worker.progress.rows == 3, message="3 rows")
    wider = replace(table, columns=(*table.columns, tables.Column(name="extra", type="string")))
    with working(source, tmp_path, table=wider) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="refused")
        assert "extra is not in the table" in worker.progress.error
    grows = replace(wider, evolution=tables.Evolution.ADD)
    value = json.loads(good(3)) | {"extra": "new"}
    source.send([json.dumps(value).encode()], cluster="primary")
    with working(source, tmp_path, table=grows) as worker:
        wait_until(lambda: worker.progress.rows == 4, message="4 rows")
    rows = read(tmp_path / "landed")
    assert [row["extra"] for row in sorted(rows, key=lambda row: row["n"])] == [None] * 3 + ["new"]
    assert places(rows) == sorted(source.acked)


def test_columns_are_widened_where_the_policy_says_so(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    def declared(kind: str, policy: tables.Evolution) -> tables.Table:
        columns = (COLUMNS[0], tables.Column(name="n", type=kind), COLUMNS[2])
        return make_table(source.topic, columns=columns, evolution=policy)

    source.send_rows(30, cluster="primary")
    with working(source, tmp_path, table=declared("integer", tables.Evolution.ADD)) as worker:
        wait_until(lambda: worker.progress.rows == 30, message="30 rows")
    with working(source, tmp_path, table=declared("long", tables.Evolution.ADD)) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="refused")
        assert "`evolution: widen` would" in worker.progress.error
    source.send([json.dumps({**json.loads(good(30)), "n": 2**40}).encode()], cluster="standby")
    with working(source, tmp_path, table=declared("long", tables.Evolution.WIDEN)) as worker:
        wait_until(lambda: worker.progress.rows == 31, message="31 rows")
    rows = read(tmp_path / "landed")
    assert sorted(row["n"] for row in rows) == [*range(30), 2**40]
    assert places(rows) == sorted(source.acked)
