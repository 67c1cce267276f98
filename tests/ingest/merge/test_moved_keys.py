"""A database tells a change of the key as a delete and an insert, without an unchanged large text."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from tests.ingest.merge.worlds import SCHEMA, Event, rows_of, shop, table_of

from penstock.ingest import fresh, locations
from penstock.ingest.changes import FORMER
from penstock.ingest.targets import Target, change_log, merge
from penstock.model import tables

pytestmark = pytest.mark.real

LOG_ALWAYS = change_log.Due(rows=10**9, age=dt.timedelta(days=1))
LOG_NEVER = change_log.Due(rows=1)


def changes_of(events: list[tuple[Event, tuple[int, str] | None]]) -> pa.Table:
    rows = table_of([event for event, _ in events])
    former = [
        orjson.dumps([str(part) for part in key]).decode() if key else None for _, key in events
    ]
    index = rows.schema.get_field_index(FORMER)
    return rows.set_column(index, rows.schema.field(FORMER), pa.array(former, pa.string()))


def rows_in(place: Path) -> dict[tuple[int, str], dict[str, Any]]:
    pieces = fresh.read_fresh(shop(), locations.locate(str(place), lake=place))
    return rows_of(row for piece in pieces for row in piece.to_pylist())


def open_target(place: Path, due: change_log.Due | None, *, schema: pa.Schema = SCHEMA) -> Target:
    table = replace(shop(), evolution=tables.Evolution.WIDEN)
    base = merge.MergeTarget(table, locations.locate(str(place), lake=place), schema)
    if due is None:
        return base
    return change_log.ChangeLogTarget(base, due=due, clock=lambda: dt.datetime.now(dt.UTC))


BEFORE, THEN, AFTER = (1, "x"), (2, "x"), (3, "x")
STEPS: list[tuple[Event, tuple[int, str] | None]] = [
    (Event(key=THEN, operation="I", sequence=1, offset=0, values={"a": 0, "b": "another"}), None),
    (Event(key=THEN, operation="D", sequence=2, offset=1), None),
    (Event(key=BEFORE, operation="I", sequence=1, offset=2, values={"a": 1, "b": "large"}), None),
    (Event(key=BEFORE, sequence=3, offset=3, values={"a": 2}), None),
    (Event(key=BEFORE, operation="D", sequence=5, offset=4), THEN),
    (Event(key=THEN, operation="I", sequence=5, offset=5, values={"a": 5}), BEFORE),
    (Event(key=THEN, operation="D", sequence=7, offset=6), AFTER),
    (Event(key=AFTER, operation="I", sequence=7, offset=7, values={"a": 7}), THEN),
    (Event(key=BEFORE, operation="I", sequence=9, offset=8, values={"a": 9, "b": "new"}), None),
]
EXPECTED = {AFTER: {"a": 7, "b": "large"}, BEFORE: {"a": 9, "b": "new"}}


@pytest.mark.parametrize("due", [None, LOG_ALWAYS, LOG_NEVER], ids=["merge", "log", "folded"])
@pytest.mark.parametrize("cuts", [(), (5,), (5, 6), tuple(range(1, 9))], ids=str)
def test_a_row_keeps_its_large_text_when_its_key_changes(
    tmp_path: Path, cuts: tuple[int, ...], due: change_log.Due | None
) -> None:
    edges = [0, *cuts, len(STEPS)]
    for number, (first, end) in enumerate(itertools.pairwise(edges), start=1):
        open_target(tmp_path / "t", due).commit(number, changes_of(STEPS[first:end]))
    assert rows_in(tmp_path / "t") == EXPECTED


@pytest.mark.parametrize("due", [None, LOG_ALWAYS, LOG_NEVER], ids=["merge", "log", "folded"])
@pytest.mark.parametrize("cut", [2, 5, 7])
def test_what_is_remembered_of_a_key_is_widened_with_it(
    tmp_path: Path, cut: int, due: change_log.Due | None
) -> None:
    """Once the table was widened, and what lies beside it was refused for its old types."""
    narrow = SCHEMA.set(0, pa.field("id", pa.int32()))
    first = changes_of(STEPS[:cut]).cast(narrow)
    open_target(tmp_path / "t", due, schema=narrow).commit(1, first)
    wider = SCHEMA.insert(2, pa.field("added", pa.string()))
    target = open_target(tmp_path / "t", due, schema=wider)
    rest = changes_of(STEPS[cut:])
    target.commit(2, rest.append_column(wider.field("added"), pa.nulls(len(rest), pa.string())))
    assert rows_in(tmp_path / "t") == EXPECTED
    late = Event(key=THEN, operation="I", sequence=6, values={"a": 6, "b": "late"})
    target.commit(3, changes_of([(late, None)]).append_column("added", [[None]]))
    assert rows_in(tmp_path / "t") == EXPECTED
    assert open_target(tmp_path / "t", due, schema=wider).last == 3


@pytest.mark.parametrize("due", [None, LOG_ALWAYS, LOG_NEVER], ids=["merge", "log", "folded"])
def test_two_writers_in_turn_know_each_other_s_former_rows(
    tmp_path: Path, due: change_log.Due | None
) -> None:
    writers = itertools.cycle([open_target(tmp_path / "t", due) for _ in range(2)])
    for number, step in enumerate(STEPS, start=1):
        target = next(writers)
        target.refresh()
        target.commit(number, changes_of([step]))
    assert rows_in(tmp_path / "t") == EXPECTED


def test_the_insert_may_come_before_the_delete(tmp_path: Path) -> None:
    order = [2, 3, 5, 4]
    for number, step in enumerate(order, start=1):
        open_target(tmp_path / "t", None).commit(number, changes_of([STEPS[step]]))
    assert rows_in(tmp_path / "t") == {THEN: {"a": 5, "b": "large"}}


def test_a_former_key_that_nobody_knows_leaves_the_column_untold(tmp_path: Path) -> None:
    open_target(tmp_path / "t", None).commit(1, changes_of([STEPS[5]]))
    assert rows_in(tmp_path / "t") == {THEN: {"a": 5, "b": None}}
    late = Event(key=THEN, sequence=4, values={"a": 4, "b": "told late"})
    open_target(tmp_path / "t", None).commit(2, changes_of([(late, None)]))
    assert rows_in(tmp_path / "t") == {THEN: {"a": 5, "b": "told late"}}
