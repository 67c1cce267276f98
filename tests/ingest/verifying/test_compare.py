"""What stands still must be the same; what moves is left for later."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ingest.verifying import compare
from penstock.ingest.verifying.compare import Difference

pytestmark = pytest.mark.unit

SOURCE = pa.schema([("id", pa.int64()), ("name", pa.string()), ("tags", pa.list_(pa.string()))])
TABLE = SOURCE.append(pa.field("_sequence", pa.int64()))
GONE = pa.schema([("id", pa.int64()), ("_sequence", pa.int64())])


def rows(schema, *values):
    return pa.Table.from_pylist([dict(zip(schema.names, v, strict=True)) for v in values], schema)


def judge(source, table, *, gone=(), mark=10, **options):
    judged, _ = look(source, table, gone=gone, mark=mark, **options)
    return judged


def look(source, table, *, gone=(), mark=10, **options):
    return compare.compare(
        rows(SOURCE, *source),
        rows(TABLE, *table),
        key=["id"],
        mark=mark,
        forgotten=rows(GONE, *gone),
        **options,
    )


def test_equal_rows_are_equal_in_any_order():
    found = judge([(1, "a", ["x"]), (2, None, None)], [(2, None, None, 3), (1, "a", ["x"], 4)])
    assert found.equal
    assert (found.source_rows, found.table_rows, found.moving) == (2, 2, 0)
    assert found.source_checksum == found.table_checksum != "0" * 16


@pytest.mark.parametrize(
    ("source", "table", "difference", "columns"),
    [
        ((1, "a", None), None, Difference.MISSING, ()),
        (None, (1, "a", None, 5), Difference.EXTRA, ()),
        ((1, "a", None), (1, "b", None, 5), Difference.OTHER, ("name",)),
        ((1, None, None), (1, "", None, 5), Difference.OTHER, ("name",)),
        ((1, "a", ["x"]), (1, "a", ["y"], 5), Difference.OTHER, ("tags",)),
    ],
)
def test_a_row_that_is_not_the_same_is_told(source, table, difference, columns):
    found = judge([source] if source else [], [table] if table else [])
    assert not found.equal
    assert found.faults == (compare.Fault(key=("1",), difference=difference, columns=columns),)


@pytest.mark.parametrize(
    ("source", "table", "gone"),
    [
        ([(1, "a", None)], [(1, "b", None, 11)], []),
        ([], [(1, "b", None, 11)], []),
        ([(1, "a", None)], [], [(1, 11)]),
    ],
    ids=["updated", "inserted", "deleted"],
)
def test_what_changed_after_the_mark_is_moving(source, table, gone):
    found = judge(source, table, gone=gone)
    assert found.equal
    assert found.moving == 1


def test_a_row_deleted_before_the_mark_that_the_source_has_is_missing():
    assert judge([(1, "a", None)], [], gone=[(1, 9)]).differences == 1


def test_a_row_that_is_there_twice_is_one_too_many():
    found = judge([(1, "a", None)], [(1, "a", None, 3), (1, "a", None, 3)])
    assert [fault.difference for fault in found.faults] == [Difference.EXTRA]
    assert found.source_checksum != found.table_checksum


def test_where_the_source_has_not_all_only_its_own_rows_are_judged():
    found = judge([(1, "a", None)], [(1, "a", None, 3), (2, "b", None, 3)], whole=False)
    assert (found.equal, found.unjudged) == (True, 1)
    assert judge([(1, "a", None)], [(2, "b", None, 3)], whole=False).differences == 1


def test_only_what_was_wrong_before_is_wrong_again():
    source = [(1, "a", None), (2, "b", None), (3, "c", None)]
    _, suspects = look(source, [(1, "a", None, 3), (2, "?", None, 3)])
    assert sorted(suspects["id"].to_pylist()) == [2, 3]
    table = [(1, "?", None, 3), (2, "b", None, 3), (4, "d", None, 3)]
    found, wrong = look(source, table, suspects=suspects)
    assert wrong["id"].to_pylist() == [3]
    assert [fault.key for fault in found.faults] == [("3",)]
    assert found.moving == 2
    found, _ = look(source, [(1, "?", None, 3), *table[1:2], (3, "c", None, 3)], suspects=wrong)
    assert (found.equal, found.moving) == (True, 1)


@settings(max_examples=25)
@given(st.dictionaries(st.integers(0, 50), st.text(max_size=3), max_size=20), st.data())
def test_any_one_change_is_found(values, data):
    source = [(key, text, None) for key, text in values.items()]
    table = [(*row, 1) for row in source]
    assert judge(source, table).equal
    if values:
        changed = data.draw(st.integers(0, len(table) - 1))
        key, text, tags, sequence = table[changed]
        table[changed] = (key, text + "!", tags, sequence)
        assert judge(source, table).differences == 1
