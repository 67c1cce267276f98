from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingest.merge.histories import histories
from tests.ingest.merge.worlds import KEY, MARKS, SCHEMA, Event, applied, rows_of, table_of

from penstock.ingest import changes, folding

pytestmark = pytest.mark.unit


def rows_of_folded(folded: pa.Table) -> Any:
    return rows_of(folded.to_pylist())


FOLDER = folding.Folder(primary_key=KEY, marks=MARKS)


@settings(max_examples=50)
@given(histories())
def test_one_fold_is_the_changes_one_by_one(history: list[Event]) -> None:
    assert rows_of_folded(FOLDER.fold(table_of(history))) == applied(history)


@settings(max_examples=50)
@given(histories(), st.lists(st.integers(0, 16), max_size=4))
def test_any_batching_comes_to_the_same_rows(history: list[Event], cuts: list[int]) -> None:
    state = SCHEMA.empty_table()
    edges = [0, *sorted(cuts), len(history)]
    for first, end in itertools.pairwise(edges):
        batch = FOLDER.fold(table_of(history[first:end]))
        state = FOLDER.fold(pa.concat_tables([state, batch]))
    assert rows_of_folded(state) == applied(history)


@settings(max_examples=50)
@given(histories(), st.integers(0, 16))
def test_rows_of_a_table_go_on_as_the_changes_that_made_them(
    history: list[Event], cut: int
) -> None:
    lake = changes.lake_schema(SCHEMA)
    before = FOLDER.fold(table_of(history[:cut]))
    written = changes.to_rows(before, lake)
    deletes = before.filter(pa.compute.equal(before["_op"], "D"))
    rows = written.filter(pa.compute.not_equal(written["_op"], "D")).drop_columns("_op")
    again = pa.concat_tables([changes.of_rows(rows), deletes, table_of(history[cut:])])
    assert rows_of_folded(FOLDER.fold(again)) == applied(history)


@pytest.mark.parametrize(
    "orders",
    [
        [("I", 1), ("D", 2), ("U", 1)],
        [("D", 2), ("I", 1)],
        [("I", 1), ("D", 2), ("I", 3)],
        [("I", 3), ("D", 2), ("I", 1)],
    ],
)
def test_late_changes_and_deletes(orders: list[tuple[str, int]]) -> None:
    history = [
        Event(key=(1, "x"), operation=op, sequence=order, values={"a": order, "b": "t"})
        for op, order in orders
    ]
    expected = {(1, "x"): {"a": 3, "b": "t"}} if ("I", 3) in orders else {}
    assert rows_of_folded(FOLDER.fold(table_of(history))) == expected


def test_a_column_that_is_left_out_keeps_its_value_and_its_marks() -> None:
    first = Event(key=(1, "x"), operation="I", sequence=1, values={"a": 1, "b": "old"})
    last = Event(key=(1, "x"), sequence=5, values={"a": 5})
    late = Event(key=(1, "x"), sequence=3, values={"a": 3, "b": "new"})
    folded = FOLDER.fold(table_of([first, last]))
    assert rows_of_folded(folded) == {(1, "x"): {"a": 5, "b": "old"}}
    folded = FOLDER.fold(pa.concat_tables([folded, table_of([late])]))
    assert rows_of_folded(folded) == {(1, "x"): {"a": 5, "b": "new"}}


def test_the_declared_order_comes_before_the_source_s() -> None:
    folder = folding.Folder(primary_key=KEY, marks=("a", *MARKS))
    events = [
        Event(key=(1, "x"), sequence=9, values={"a": 1, "b": "older"}),
        Event(key=(1, "x"), sequence=1, values={"a": 2, "b": "newer"}),
    ]
    assert rows_of_folded(folder.fold(table_of(events))) == {(1, "x"): {"a": 2, "b": "newer"}}


def test_what_is_of_another_namespace_is_left_out() -> None:
    table = table_of([Event(key=(1, "x"), values={"a": 1})])
    foreign = table.set_column(
        table.schema.get_field_index("_op"), table.schema.field("_op"), pa.nulls(1, pa.string())
    )
    assert FOLDER.fold(foreign).num_rows == 0


def test_a_truncation_empties_what_is_older() -> None:
    events = [
        Event(key=(1, "x"), sequence=1, values={"a": 1}),
        Event(key=(0, ""), operation="T", sequence=5),
        Event(key=(2, "x"), sequence=7, values={"a": 7, "b": None}),
    ]
    rows = table_of(events)
    truncated = folding.truncation(rows)
    assert truncated.num_rows == 1
    assert rows_of_folded(FOLDER.fold(folding.after(rows, truncated))) == {
        (2, "x"): {"a": 7, "b": None}
    }
