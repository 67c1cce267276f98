"""Expressions of derived columns: what may stand in a table's file, and what DuckDB is given."""

from __future__ import annotations

import contextlib

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.model import expressions, functions

pytestmark = pytest.mark.unit

COLUMNS = ("at", "total", "tags", "address", "offset", "Mixed")


@pytest.mark.parametrize(
    ("text", "sql", "columns", "coordinates"),
    [
        ("date(at)", 'CAST("at" AS DATE)', {"at"}, set()),
        ("offset", '"offset"', {"offset"}, set()),
        ("kafka.offset + 1", '"kafka.offset" + 1', set(), {"offset"}),
        ("KAFKA.Offset", '"kafka.offset"', set(), {"offset"}),
        ("cluster || '/' || topic", '"kafka.cluster" || \'/\' || "kafka.topic"', set(), ...),
        ("event_time", '"kafka.event_time"', set(), {"event_time"}),
        ("address.city", "\"address\"['city']", {"address"}, set()),
        ("address['city']", "\"address\"['city']", {"address"}, set()),
        ("mixed + TOTAL", '"Mixed" + "total"', {"Mixed", "total"}, set()),
        ('"kafka"', '"kafka"', {"kafka"}, set()),
        ("kafka.city", "\"kafka\"['city']", {"kafka"}, set()),
        ("nothing", '"nothing"', {"nothing"}, set()),
        ('"kafka.offset"', '"kafka.offset"', set(), {"offset"}),
        ('"a.b"', '"a.b"', {"a.b"}, set()),
        ("at AT TIME ZONE 'CET'", "\"at\" AT TIME ZONE 'CET'", {"at"}, set()),
        ("1 -- why", "1", set(), set()),
        ("list_transform(tags, x -> x + total)", ..., {"tags", "total"}, set()),
        ("[x + total for x in tags if x > 1]", ..., {"tags", "total"}, set()),
        ("list_sum(tags)", 'LIST_SUM("tags")', {"tags"}, set()),
        ("age(at, at)", ..., {"at"}, set()),
    ],
)
def test_names_become_columns_and_coordinates(
    text: str, sql: str, columns: set[str], coordinates: set[str]
) -> None:
    bound = expressions.parse(text).bound(COLUMNS)
    assert sql in (..., bound.sql)
    assert bound.columns == columns
    assert coordinates in (..., bound.coordinates)


def test_an_expression_is_evaluated_by_duckdb_as_it_reads() -> None:
    bound = expressions.parse(
        "[x + kafka.offset for x in tags if x > 1] || [length(address.city)]"
    ).bound(COLUMNS)
    relation = "SELECT [1, 2] tags, 40 AS \"kafka.offset\", {'city': 'Ulm'} address"
    assert duckdb.sql(f"SELECT {bound.sql} FROM ({relation}) r").fetchall() == [([42, 3],)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no expression"),
        ("1 +", "is not SQL"),
        ("a, b", "is not SQL"),
        ("'open", "is not SQL"),
        ("a; b", "more than one expression"),
        ("select 1", "has a query in it"),
        ("(select 1)", "has a query in it"),
        ("a in (select 1)", "has a query in it"),
        ("from x", "has a query in it"),
        ("sum(a)", "looks at other rows, by sum()"),
        ("favg(a)", "looks at other rows, by favg()"),
        ("max(a) + 1", "looks at other rows, by max()"),
        ("row_number() over ()", "by a window"),
        ("now()", "reads the clock, by now"),
        ("current_timestamp", "reads the clock"),
        ("date(current_date)", "reads the clock"),
        ("age(at)", "reads the clock"),
        ("random() < 0.1", "left to chance"),
        ("uuid()", "left to chance"),
        ("getenv('HOME')", "asks where it is run"),
        ("main.now()", "behind a dot"),
        ("at.upper()", "behind a dot"),
        ('"now"()', "reads the clock"),
        ("read_text('/etc/passwd')", "reads files"),
        ("read_csv('x')", "reads files"),
        ("glob('*')", "several rows"),
        ("unnest(tags)", "several rows"),
        ("*", "takes every column"),
        ("COLUMNS('a')", "takes every column"),
        ("a.*", "takes every column"),
        ("?", "placeholder"),
        ("#1", "placeholder"),
        ("a as b", "gives itself a name"),
        ("drop table x", "no expression"),
        ("set x = 1", "no expression"),
        ("copy x to 'y'", "no expression"),
        ("(" * 3_000 + "1" + ")" * 3_000, "is not SQL"),
    ],
)
def test_what_may_not_stand_in_a_table(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="; write ") as caught:
        expressions.parse(text)
    assert reason in str(caught.value)


def test_a_long_expression_is_taken() -> None:
    text = " + ".join(["total"] * 2_000)
    assert expressions.parse(text).bound(COLUMNS).columns == {"total"}


def test_every_function_of_duckdb_that_is_not_of_one_record_is_refused() -> None:
    known = duckdb.sql(
        "SELECT function_name, bool_or(function_type IN ('scalar', 'macro')), "
        "bool_or(function_type = 'aggregate' OR stability <> 'CONSISTENT') "
        "FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro', 'aggregate') GROUP BY 1"
    ).fetchall()
    assert len(known) > 500
    unsteady = {name for name, _, wrong in known if wrong and name.isidentifier()}
    assert not {name for name in unsteady if not functions.refusal(name)}
    # And what serves is not refused along with it.
    assert not {"lower", "date_trunc", "list_sum", "struct_pack", "md5", "pg_typeof"} & {
        name for name, _, _ in known if functions.refusal(name)
    }


def test_no_macro_of_duckdb_hides_what_is_refused() -> None:
    macros = duckdb.sql(
        "SELECT function_name, macro_definition FROM duckdb_functions() "
        "WHERE function_type = 'macro' AND macro_definition IS NOT NULL"
    ).fetchall()
    hidden = set()
    for name, definition in macros:
        with contextlib.suppress(ValueError):
            expressions.parse(f"{name}(a)")
            try:
                expressions.parse(definition)
            except ValueError:
                hidden.add(name)
    assert not hidden


@given(st.text(max_size=40))
@example("a" * 40)
def test_no_text_makes_it_fall_over(text: str) -> None:
    with contextlib.suppress(ValueError):
        expressions.parse(text).bound(COLUMNS)
