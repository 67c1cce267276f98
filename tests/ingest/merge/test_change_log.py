from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingest.merge.histories import histories
from tests.ingest.merge.worlds import SCHEMA, Event, applied, rows_of, shop, table_of

from penstock.errors import Conflict
from penstock.ingest import fresh, locations, showing
from penstock.ingest.targets import change_log, merge
from penstock.model import tables

pytestmark = pytest.mark.real

NEVER = change_log.Due(rows=10**9, age=dt.timedelta(days=1))
AT_ONCE = change_log.Due(rows=1)
APPLY = shop(truncation=tables.Truncation.APPLY)


class Killed(BaseException):
    """Stands for a kill: nothing after it ran, and nobody handled it."""


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def open_target(
    place: Path, due: change_log.Due = NEVER, table: tables.Table = APPLY
) -> change_log.ChangeLogTarget:
    base = merge.MergeTarget(table, locations.locate(str(place), lake=place), SCHEMA)
    return change_log.ChangeLogTarget(base, due=due, clock=now)


def fresh_rows(place: Path) -> dict[tuple[int, str], dict[str, Any]]:
    pieces = list(fresh.read_fresh(APPLY, locations.locate(str(place), lake=place)))
    found = [row for piece in pieces for row in piece.to_pylist()]
    rows = rows_of(found)
    assert len(rows) == len(found), "a key has one row"
    return rows


def queried_rows(target: change_log.ChangeLogTarget) -> dict[tuple[int, str], dict[str, Any]]:
    query = fresh.fresh_sql(APPLY, ["id", "part", "a", "b"], base="base", log="log")
    with duckdb.connect() as connection:
        for name, lake in (("base", target.base.lake), ("log", target.log)):
            rows = pa.concat_tables([lake.schema.empty_table(), *lake.read()])
            connection.register(name, rows)
        found = connection.sql(query).to_arrow_table().to_pylist()
    rows = rows_of(found)
    assert len(rows) == len(found), "a key has one row"
    return rows


@given(
    history=histories(),
    cuts=st.lists(st.integers(0, 16), max_size=3),
    folds=st.sets(st.integers(1, 4)),
)
@settings(max_examples=12)
def test_table_and_log_come_to_what_the_changes_come_to(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[Event],
    cuts: list[int],
    folds: set[int],
) -> None:
    place = tmp_path_factory.mktemp("lake") / "t"
    target = open_target(place)
    edges = [0, *sorted(cuts), len(history)]
    for number, (first, end) in enumerate(itertools.pairwise(edges), start=1):
        target.commit(number, table_of(history[first:end]))
        if number in folds:
            target.fold()
            assert target.log.rows == 0
        assert fresh_rows(place) == applied(history[:end])
        assert target.last == number
    target.fold()
    assert fresh_rows(place) == queried_rows(target) == applied(history)


def test_the_query_gives_what_the_reader_gives() -> None:
    """Kept whole, so that a change of the text is seen by who reads it."""
    query = fresh.fresh_sql(shop(), ["id", "a"], base="b", log="l", quote=lambda n: f"`{n}`")
    assert '"' not in query
    assert query.count("UNION ALL") == 1


def test_parts_of_rows_are_queried_whole(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    events = [
        Event(key=(1, "x"), operation="I", sequence=1, values={"a": 1, "b": "kept"}),
        Event(key=(2, "x"), operation="I", sequence=1, values={"a": 1, "b": "gone"}),
        Event(key=(3, "x"), operation="I", sequence=9, values={"a": 3, "b": "newer"}),
    ]
    target.commit(1, table_of(events))
    target.fold()
    more = [
        Event(key=(1, "x"), sequence=2, values={"a": 2}),
        Event(key=(2, "x"), operation="D", sequence=2),
        Event(key=(3, "x"), sequence=3, values={"a": 0, "b": "older"}),
        Event(key=(4, "x"), operation="I", sequence=2, values={"a": 4, "b": None}),
    ]
    target.commit(2, table_of(more[:2]))
    target.commit(3, table_of(more[2:]))
    target.commit(4, table_of([Event(key=(4, "x"), sequence=5, values={"b": "late"})]))
    target.commit(5, table_of([Event(key=(4, "x"), sequence=4, values={"a": 44})]))
    expected = {
        (1, "x"): {"a": 2, "b": "kept"},
        (3, "x"): {"a": 3, "b": "newer"},
        (4, "x"): {"a": 44, "b": "late"},
    }
    assert queried_rows(target) == fresh_rows(tmp_path / "t") == expected


def test_current_rows_of_a_range_of_keys_are_read(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    rows = [Event(key=(n, "x"), sequence=1, values={"a": n, "b": None}) for n in range(4)]
    target.commit(1, table_of(rows))
    target.fold()
    target.commit(2, table_of([Event(key=(n, "x"), sequence=2, values={"a": -n}) for n in (1, 3)]))
    place = locations.locate(str(tmp_path / "t"), lake=tmp_path)
    found = fresh.read_fresh(APPLY, place, where='"id" >= 2 AND "id" < 4')
    kept = sorted(row["a"] for piece in found for row in piece.to_pylist())
    assert kept == [-3, 2]


def test_a_commit_rewrites_nothing_until_a_fold_is_due(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    target.commit(1, table_of([Event(key=(1, "x"), values={"a": 1, "b": None})]))
    assert (target.base.files, target.log.rows) == (0, 1)
    eager = open_target(tmp_path / "t", AT_ONCE)
    eager.commit(2, table_of([Event(key=(2, "x"), values={"a": 2, "b": None})]))
    assert (eager.base.rows, eager.log.rows) == (2, 0)


def test_an_old_log_is_folded_by_tidying(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t", change_log.Due(age=dt.timedelta(0)))
    target.log.add(_logged(target))
    target = open_target(tmp_path / "t", change_log.Due(age=dt.timedelta(0)))
    target.tidy()
    assert (target.base.rows, target.log.rows) == (1, 0)


def _logged(target: change_log.ChangeLogTarget) -> pa.Table:
    folded = target.base.folder.fold(table_of([Event(key=(1, "x"), values={"a": 1, "b": "b"})]))
    batch = folded.append_column("_batch", pa.array([1], pa.int64()))
    return batch.select(target.log.schema.names)


def test_a_late_change_brings_no_folded_delete_back(tmp_path: Path) -> None:
    target = open_target(tmp_path / "t")
    target.commit(1, table_of([Event(key=(1, "x"), sequence=1, values={"a": 1, "b": None})]))
    target.commit(2, table_of([Event(key=(1, "x"), operation="D", sequence=5)]))
    target.fold()
    target = open_target(tmp_path / "t")
    target.commit(3, table_of([Event(key=(1, "x"), sequence=4, values={"a": 4, "b": None})]))
    assert fresh_rows(tmp_path / "t") == queried_rows(target) == {}


def test_people_are_shown_the_rows_of_the_last_commit(tmp_path: Path) -> None:
    """Not those of the last fold, which may be ten minutes old."""
    place = locations.locate(str(tmp_path / "t"), lake=tmp_path)
    target = open_target(tmp_path / "t")
    old = [Event(key=(n, "x"), sequence=n, time=n, values={"a": n, "b": "old"}) for n in range(9)]
    target.commit(1, table_of(old))
    target.fold()
    target.commit(
        2,
        table_of(
            [
                Event(key=(8, "x"), operation="D", sequence=20, time=20),
                Event(key=(1, "x"), sequence=21, time=21, values={"a": 100}),
                Event(key=(9, "x"), sequence=22, time=22, values={"a": 9, "b": "new"}),
            ]
        ),
    )
    found = showing.newest(APPLY, place, 3, order_by="")
    assert found is not None
    rows, total = found
    assert [(row["id"], row["a"], row["b"]) for row in rows.to_pylist()] == [
        (7, 7, "old"), (1, 100, "old"), (9, 9, "new"),
    ]  # fmt: skip
    assert total == 9


@pytest.mark.parametrize("folds", [True, False])
def test_a_delete_by_one_writer_stands_against_a_late_change_by_another(
    tmp_path: Path, folds: bool
) -> None:
    one, other = open_target(tmp_path / "t"), open_target(tmp_path / "t")
    one.commit(1, table_of([Event(key=(1, "x"), sequence=1, values={"a": 1, "b": None})]))
    one.commit(2, table_of([Event(key=(1, "x"), operation="D", sequence=5)]))
    if folds:
        one.fold()
    other.refresh()
    other.commit(3, table_of([Event(key=(1, "x"), sequence=4, values={"a": 4, "b": None})]))
    assert fresh_rows(tmp_path / "t") == queried_rows(other) == {}
    one.refresh()
    one.fold()
    assert fresh_rows(tmp_path / "t") == {}


@pytest.mark.parametrize("cut", [1, 2])
def test_a_truncation_is_applied_to_table_and_log(tmp_path: Path, cut: int) -> None:
    events = [
        Event(key=(1, "x"), sequence=1, values={"a": 1, "b": None}),
        Event(key=(0, ""), operation="T", sequence=5),
        Event(key=(2, "x"), sequence=7, values={"a": 7, "b": None}),
    ]
    target = open_target(tmp_path / "t")
    target.commit(1, table_of(events[:cut]))
    target.commit(2, table_of(events[cut:]))
    assert fresh_rows(tmp_path / "t") == {(2, "x"): {"a": 7, "b": None}}
    target.commit(3, table_of([Event(key=(3, "x"), sequence=4, values={"a": 4, "b": None})]))
    assert fresh_rows(tmp_path / "t") == {(2, "x"): {"a": 7, "b": None}}


STEPS = ["append", "mark", "fold", "record", "merge", "clear"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool
) -> None:
    first = [
        Event(key=(1, "x"), operation="I", sequence=1, values={"a": 1, "b": "1"}),
        Event(key=(2, "x"), operation="I", sequence=1, values={"a": 1, "b": "1"}),
    ]
    second = [
        Event(key=(1, "x"), sequence=2, values={"a": 2}),
        Event(key=(2, "x"), operation="D", sequence=3),
    ]
    target = open_target(tmp_path / "t")
    target.commit(1, table_of(first))
    target = open_target(tmp_path / "t", AT_ONCE)
    _kill_at(monkeypatch, target, step, after=after)
    with pytest.raises(Killed):
        target.commit(2, table_of(second))
    monkeypatch.undo()
    target = open_target(tmp_path / "t", AT_ONCE)
    if target.last == 1:
        target.commit(2, table_of(second))
    assert fresh_rows(tmp_path / "t") == applied([*first, *second])
    target.fold()
    assert fresh_rows(tmp_path / "t") == queried_rows(target) == applied([*first, *second])
    target.commit(3, table_of([Event(key=(2, "x"), sequence=2, values={"a": 9, "b": "9"})]))
    assert fresh_rows(tmp_path / "t") == applied([*first, *second])


def _kill_at(
    monkeypatch: pytest.MonkeyPatch,
    target: change_log.ChangeLogTarget,
    step: str,
    *,
    after: bool,
) -> None:
    owner, name = {
        "append": (target.log, "append"),
        "mark": (target.base, "mark"),
        "fold": (target, "fold"),
        "record": (target.base.tombstones, "record"),
        "merge": (target.base.lake, "merge"),
        "clear": (target.log, "clear"),
    }[step]
    real = getattr(owner, name)

    def killed(*arguments: Any, **options: Any) -> None:
        if after:
            real(*arguments, **options)
        raise Killed

    monkeypatch.setattr(owner, name, killed)


def test_a_number_is_committed_once(tmp_path: Path) -> None:
    rows = table_of([Event(key=(1, "x"), values={"a": 1, "b": None})])
    first, second = open_target(tmp_path / "t"), open_target(tmp_path / "t")
    first.commit(1, rows)
    with pytest.raises(Conflict):
        second.commit(1, table_of([Event(key=(1, "x"), time=9, values={"a": 9, "b": None})]))
    assert fresh_rows(tmp_path / "t") == {(1, "x"): {"a": 1, "b": None}}
