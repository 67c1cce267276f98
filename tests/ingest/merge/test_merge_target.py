from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingest.merge.histories import histories
from tests.ingest.merge.worlds import SCHEMA, Event, applied, rows_of, shop, table_of

from penstock.errors import Conflict, Refused
from penstock.ingest import landing, locations, merging, plan
from penstock.ingest.settings import Limits
from penstock.ingest.targets import merge
from penstock.model import tables

pytestmark = pytest.mark.real


class Killed(BaseException):
    """Stands for a kill: nothing after it ran, and nobody handled it."""


def open_target(
    place: Path, table: tables.Table | None = None, **options: Any
) -> merge.MergeTarget:
    return merge.MergeTarget(
        table or shop(), locations.locate(str(place), lake=place), SCHEMA, **options
    )


def rows_in(target: merge.MergeTarget) -> dict[tuple[int, str], dict[str, Any]]:
    found = pa.concat_tables([target.lake.schema.empty_table(), *target.lake.read()])
    rows = rows_of(found.to_pylist())
    assert len(rows) == found.num_rows == target.rows, "a key has one row"
    return rows


@given(history=histories(), cuts=st.lists(st.integers(0, 16), max_size=3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_come_to_what_the_changes_come_to(
    tmp_path_factory: pytest.TempPathFactory, history: list[Event], cuts: list[int]
) -> None:
    target = open_target(tmp_path_factory.mktemp("lake") / "t")
    edges = [0, *sorted(cuts), len(history)]
    for number, (first, end) in enumerate(itertools.pairwise(edges), start=1):
        target.commit(number, table_of(history[first:end]))
        assert rows_in(target) == applied(history[:end])
        assert target.last == number


def test_a_late_change_brings_no_deleted_row_back(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    key = (1, "x")
    target.commit(1, table_of([Event(key=key, operation="I", sequence=1, values={"a": 1})]))
    target.commit(2, table_of([Event(key=key, operation="D", sequence=5)]))
    target = open_target(tmp_path / "t")
    outcome = target.commit(3, table_of([Event(key=key, sequence=4, values={"a": 4, "b": "x"})]))
    assert (rows_in(target), outcome.inserted) == ({}, 0)
    target.commit(4, table_of([Event(key=key, operation="I", sequence=6, values={"a": 6})]))
    assert rows_in(target) == {key: {"a": 6, "b": None}}


@given(history=histories(), cuts=st.lists(st.integers(0, 16), min_size=2, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_writers_in_turn_come_to_what_the_changes_come_to(
    tmp_path_factory: pytest.TempPathFactory, history: list[Event], cuts: list[int]
) -> None:
    """As when a table goes from one process to another and back, and each keeps it open."""
    place = tmp_path_factory.mktemp("lake") / "t"
    writers = itertools.cycle([open_target(place), open_target(place)])
    edges = [0, *sorted(cuts), len(history)]
    for number, (first, end) in enumerate(itertools.pairwise(edges), start=1):
        target = next(writers)
        target.refresh()
        target.commit(number, table_of(history[first:end]))
        assert rows_in(target) == applied(history[:end])


def test_a_delete_by_one_writer_stands_against_a_late_change_by_another(tmp_path: Path) -> None:
    one, other = open_target(tmp_path / "t"), open_target(tmp_path / "t")
    key = (1, "x")
    one.commit(1, table_of([Event(key=key, operation="I", sequence=1, values={"a": 1})]))
    one.commit(2, table_of([Event(key=key, operation="D", sequence=5)]))
    other.refresh()
    other.commit(3, table_of([Event(key=key, sequence=4, values={"a": 4, "b": "x"})]))
    assert rows_in(other) == {}
    one.refresh()
    one.commit(4, table_of([Event(key=key, operation="I", sequence=6, values={"a": 6})]))
    assert rows_in(one) == {key: {"a": 6, "b": None}}


def test_a_part_that_is_older_than_the_row_there_is_not_taken(tmp_path: Path) -> None:
    """Once a change and an older one of the same batch made a row whole, and the row was lost."""
    target = open_target(tmp_path / "t")
    key = (1, "x")
    target.commit(1, table_of([Event(key=key, sequence=5, values={"a": 5, "b": "five"})]))
    late = Event(key=key, sequence=1, values={"a": 1, "b": "one"})
    target.commit(2, table_of([late, Event(key=key, sequence=7, values={"a": 7})]))
    assert rows_in(target) == {key: {"a": 7, "b": "five"}}


def test_deletes_are_forgotten_after_the_horizon(tmp_path: Path) -> None:
    now = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    table = shop(tombstones_ms=3_600_000)
    target = open_target(tmp_path / "t", table, clock=lambda: now[0])
    target.commit(1, table_of([Event(key=(1, "x"), operation="D", sequence=5)]))
    now[0] += dt.timedelta(minutes=59)
    target.commit(2, table_of([Event(key=(2, "x"), operation="D", sequence=6)]))
    target.tidy()
    assert target.tombstones.rows == 2
    now[0] += dt.timedelta(minutes=2)
    target.tidy()
    assert target.tombstones.rows == 1


@pytest.mark.parametrize("step", ["record", "merge", "append"])
def test_a_kill_anywhere_leaves_a_batch_that_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first = [Event(key=(1, "x"), operation="I", sequence=1, values={"a": 1, "b": "1"})]
    second = [
        Event(key=(1, "x"), operation="D", sequence=2),
        Event(key=(2, "x"), operation="I", sequence=3, values={"a": 2, "b": "2"}),
    ]
    target = open_target(tmp_path / "t")
    target.commit(1, table_of(first))
    _kill_at(monkeypatch, target, step)
    with pytest.raises(Killed):
        target.commit(2, table_of(second))
    monkeypatch.undo()
    target = open_target(tmp_path / "t")
    if target.last == 1:
        target.commit(2, table_of(second))
    assert rows_in(target) == applied([*first, *second])
    assert (target.last, target.tombstones.rows) == (2, 1)


def _kill_at(monkeypatch: pytest.MonkeyPatch, target: merge.MergeTarget, step: str) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    match step:
        case "record":  # deletes are remembered, rows not changed
            monkeypatch.setattr(target.lake, "merge", killed)
        case "merge":  # nothing was remembered
            monkeypatch.setattr(target.tombstones, "record", killed)
        case _:  # everything is in the log, and nobody was told
            real = target.lake.merge

            def merged_then_killed(*args: Any, **options: Any) -> None:
                real(*args, **options)
                raise Killed

            monkeypatch.setattr(target.lake, "merge", merged_then_killed)


def test_a_batch_that_changes_nothing_is_in_the_log(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    target.commit(1, table_of([Event(key=(1, "x"), operation="D", sequence=1)]))
    target.commit(2, SCHEMA.empty_table())
    assert open_target(tmp_path / "t").last == 2


def test_a_number_is_committed_once(tmp_path: Path) -> None:
    rows = table_of([Event(key=(1, "x"), values={"a": 1, "b": None})])
    first, second = open_target(tmp_path / "t"), open_target(tmp_path / "t")
    first.commit(1, rows)
    with pytest.raises(Conflict):
        second.commit(1, table_of([Event(key=(1, "x"), time=9, values={"a": 9, "b": None})]))
    second.refresh()
    with pytest.raises(Conflict):
        second.commit(1, rows)
    assert rows_in(open_target(tmp_path / "t")) == {(1, "x"): {"a": 1, "b": None}}


def test_a_change_feed_tells_hard_deletes(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t", replace(shop(), change_feed=True))
    target.commit(1, table_of([Event(key=(1, "x"), values={"a": 1, "b": None})]))
    unknown = Event(key=(9, "x"), operation="D", sequence=2)
    target.commit(2, table_of([Event(key=(1, "x"), operation="D", sequence=2), unknown]))
    feed = pa.table(target.lake.table.load_cdf(starting_version=1).read_all())
    assert sorted(feed["_change_type"].to_pylist()) == ["delete", "insert"]


def test_tidying_leaves_what_lies_beside_the_rows(tmp_path: Path) -> None:
    target = open_target(
        tmp_path / "t", replace(shop(), compaction=tables.Compaction(retention_ms=0))
    )
    target.commit(1, table_of([Event(key=(1, "x"), operation="D", sequence=5)]))
    target.commit(2, table_of([Event(key=(2, "x"), sequence=6, values={"a": 1, "b": None})]))
    target.tidy()
    target = open_target(tmp_path / "t")
    target.commit(3, table_of([Event(key=(1, "x"), sequence=4, values={"a": 4, "b": None})]))
    assert rows_in(target) == {(2, "x"): {"a": 1, "b": None}}


TRUNCATED = [
    Event(key=(1, "x"), sequence=1, values={"a": 1, "b": None}),
    Event(key=(0, ""), operation="T", sequence=5),
    Event(key=(2, "x"), sequence=7, values={"a": 7, "b": None}),
]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_truncation_is_applied(tmp_path: Path, cut: int) -> None:
    target = open_target(tmp_path / "t", shop(truncation=tables.Truncation.APPLY))
    target.commit(1, table_of(TRUNCATED[:cut]))
    target.commit(2, table_of(TRUNCATED[cut:]))
    assert rows_in(target) == {(2, "x"): {"a": 7, "b": None}}
    target = open_target(tmp_path / "t", shop(truncation=tables.Truncation.APPLY))
    target.commit(3, table_of([Event(key=(3, "x"), sequence=4, values={"a": 4, "b": None})]))
    assert rows_in(target) == {(2, "x"): {"a": 7, "b": None}}


def test_a_truncation_stops_the_table_or_is_passed_over(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t", shop(truncation=tables.Truncation.STOP))
    with pytest.raises(Refused, match="was emptied"):
        target.commit(1, table_of(TRUNCATED))
    target = open_target(tmp_path / "t", shop(truncation=tables.Truncation.IGNORE))
    target.commit(1, table_of(TRUNCATED))
    assert len(rows_in(target)) == 2


def test_near_keys_touch_few_files(tmp_path: Path) -> None:
    table = replace(shop(), compaction=tables.Compaction(target_bytes=40_000))
    target = open_target(tmp_path / "t", table)
    target.lake.load(pa.RecordBatchReader.from_batches(target.lake.schema, _many(50_000)))
    files = target.files
    assert files > 8
    near = [Event(key=(7, f"{n:06}"), sequence=9, values={"a": 0, "b": "n"}) for n in range(20)]
    outcome = target.commit(1, table_of(near))
    assert outcome.updated == 20
    assert 1 <= outcome.files_removed <= files / 2


@pytest.mark.parametrize("near", [True, False])
def test_tidying_sorts_where_batches_have_near_keys(tmp_path: Path, near: bool) -> None:
    table = replace(shop(), compaction=tables.Compaction(target_bytes=20_000))
    target = open_target(tmp_path / "t", table)
    batches = [
        [
            Event(key=(n * 24 + number, "x"), sequence=1, values={"a": n, "b": f"{n * 7919:040}"})
            for n in range(250)
        ]
        for number in range(24)
    ]
    for number, batch in enumerate(batches, start=1):
        target.commit(number, table_of(batch))
    target = open_target(tmp_path / "t", table)
    keys = range(200) if near else range(0, 6000, 200)
    changed = [Event(key=(n, "x"), sequence=2, values={"a": n, "b": ""}) for n in keys]
    target.commit(25, table_of(changed))
    target.tidy()
    assert (target.lake.disorder < 2) is near
    assert target.files > 1
    assert rows_in(target) == applied([*itertools.chain(*batches), *changed])


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [([(0, 9), (10, 19), (20, 29)], 1.0), ([(0, 29), (0, 29), (0, 29)], 2.0), ([], 0.0)],
)
def test_disorder_is_how_many_files_may_hold_a_key(
    ranges: list[tuple[int, int]], expected: float
) -> None:
    actions = pa.table(
        {"min.id": pa.array([r[0] for r in ranges]), "max.id": pa.array([r[1] for r in ranges])}
    )
    assert merging.disorder(actions, "id") == expected


def test_spread_is_the_share_of_the_keys_that_a_batch_spans() -> None:
    actions = pa.table({"min.id": [0, 50], "max.id": [49, 100]})
    assert merging.spread(actions, "id", [(0, 10), (90, 100)]) == pytest.approx(0.1)
    assert merging.spread(actions, "id", [(0, 1000)]) == 1.0
    assert merging.spread(actions, "id", [("a", "b")]) == 1.0


def _many(count: int) -> list[pa.RecordBatch]:
    half = count // 2
    rows = {
        "id": [n % 50 for n in range(count)],
        "part": [f"{n // 50:06}" for n in range(count)],
        "a": [(n * 7919) % 100_003 for n in range(count)],
        "b": [f"{(n * 7919) % 100_003}" for n in range(count)],
    }
    batch = pa.RecordBatch.from_pydict(rows)
    marks = [
        pa.nulls(count, SCHEMA.field(n).type) for n in ("_sequence", "_ot", "_offset", "_behind")
    ]
    whole = pa.RecordBatch.from_arrays(
        [*batch.columns, *marks], names=[*rows, "_sequence", "_ot", "_offset", "_behind"]
    )
    return [whole.slice(0, half), whole.slice(half)]


def test_a_batch_to_merge_is_larger_within_what_memory_allows() -> None:
    limits = Limits(batch_records=10, batch_bytes=1_000)
    assert landing.bounds(shop(), limits) == plan.Bounds(records=100, size_bytes=2_000)
    added = replace(shop(), mode=tables.TableMode.APPEND)
    assert landing.bounds(added, limits) == plan.Bounds(records=10, size_bytes=1_000)
