"""What a declaration makes of records: rows, derived columns, dead letters."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.worker_process import make_table

from penstock.errors import ConfigError
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.records import RAW
from penstock.model import tables

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 18, 11, 6, 40, 123_000, UTC)


def raw(values: list[bytes | None], *, keys: list[bytes | None] | None = None) -> pa.Table:
    count = len(values)
    return pa.table(
        [
            ["primary"] * count,
            ["orders.1"] * count,
            [1] * count,
            list(range(10, 10 + count)),
            [round(AT.timestamp() * 1000)] * count,
            keys or [b"k"] * count,
            values,
            ["r-1"] * count,
        ],
        schema=RAW,
    )


def derive(**expressions: str | tuple[str, str]) -> Pipeline:
    derived = tuple(
        tables.DerivedColumn(name=name, expression=each)
        if isinstance(each, str)
        else tables.DerivedColumn(name=name, expression=each[0], type=each[1])
        for name, each in expressions.items()
    )
    return Pipeline(make_table("orders", derived=derived))


def value(**fields: Any) -> bytes:
    return json.dumps({"id": "a", "n": 3, "at": "2026-11-21T23:59:59Z", **fields}).encode()


def test_every_coordinate_gives_its_column() -> None:
    pipeline = derive(
        day="date(at)", cluster="cluster", topic="topic", partition="partition",
        offset="offset", key="key", record_id="record_id", event_time="event_time",
    )  # fmt: skip
    made = pipeline.transform(raw([value()]))
    (row,) = made.rows.to_pylist()
    assert made.rows.schema == pipeline.schema
    assert list(row.values())[3:] == [
        date(2026, 11, 21), "primary", "orders.1", 1, 10, "k", "r-1", AT,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("n * 2", "long", 6),
        ("n / 2.0", "double", 1.5),
        (("n / 2.0", "decimal(9,2)"), "decimal(9,2)", 1.5),
        ("date_trunc('hour', at)", "timestamp", datetime(2026, 11, 21, 23, tzinfo=UTC)),
        ("CAST('2026-01-01T01:00:00+01:00' AS TIMESTAMPTZ)", "timestamp", datetime(2026, 1, 1, tzinfo=UTC)),
        ("strftime(at, '%H:%M')", "string", "23:59"),
        ("{'n': n, 'at': at}", "struct", {"n": 3, "at": datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)}),
        ("[id, key]", "list", ["a", "k"]),
        ("kafka.offset + n", "long", 13),
        ("CASE WHEN n > 2 THEN 'many' END", "string", "many"),
        ("upper(id) || key", "string", "Ak"),
    ],
)  # fmt: skip
def test_sql_gives_a_value_of_a_table_s_type(
    expression: str | tuple[str, str], kind: str, expected: Any
) -> None:
    made = derive(x=expression).transform(raw([value()]))
    (row,) = made.rows.to_pylist()
    assert row["x"] == expected
    assert kind.split("(", maxsplit=1)[0].replace("long", "int64") in str(
        made.rows.schema.field("x").type
    )


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope + 1", "derived from nope, which the table does not have"),
        ("no_such_function(n)", "no_such_function"),
        ("sum(n)", "looks at other rows"),
        ("now()", "reads the clock"),
        ("CAST('10:00:00' AS TIME)", "Say its type"),
    ],
)
def test_a_wrong_expression_is_told_before_any_record_is_read(
    expression: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        derive(x=expression)


@given(bad=st.sets(st.integers(0, 40), max_size=10))
def test_a_row_without_its_derived_value_is_a_letter_and_the_others_are_rows(
    bad: set[int],
) -> None:
    values = [value(n=0 if n in bad else 5, id=str(n)) for n in range(41)]
    made = derive(x="CASE WHEN n = 0 THEN error_free.x ELSE 1 END".replace("error_free.x", "CAST(id || 'x' AS INTEGER)")).transform(raw(list(values)))  # fmt: skip
    assert {int(row["id"]) for row in made.rows.to_pylist()} == set(range(41)) - bad
    assert {letter["offset"] - 10 for letter in made.letters.to_pylist()} == bad
    assert all("cannot be had" in letter["reason"] for letter in made.letters.to_pylist())


def test_a_key_that_is_no_text_is_refused_only_where_there_is_a_column_of_it() -> None:
    records = raw([value(), value()], keys=[b"\xff", None])
    with_key, without = derive(key="key").transform(records), derive().transform(records)
    assert [letter["key"] for letter in with_key.letters.to_pylist()] == [b"\xff"]
    assert (without.rows.num_rows, without.letters.num_rows) == (2, 0)


def test_a_letter_keeps_the_bytes_and_the_origin() -> None:
    made = derive().transform(raw([b"\x00", value(), None], keys=[b"\xff", b"k", b"k"]))
    first, tombstone = made.letters.to_pylist()
    assert first | {"reason": ""} == {
        "reason": "", "cluster": "primary", "topic": "orders.1", "partition": 1, "offset": 10,
        "event_time": AT, "key": b"\xff", "value": b"\x00", "record_id": "r-1",
    }  # fmt: skip
    assert "not a JSON object" in first["reason"]
    assert "tombstone" in tombstone["reason"]


@given(cut=st.integers(0, 6))
def test_rows_do_not_depend_on_how_records_are_cut(cut: int) -> None:
    values = [value(), b"null", None, value(n=4), b"{}", value(id="z")]
    pipeline = derive(x="n + kafka.offset")
    whole = pipeline.transform(raw(values))
    parts = [
        pipeline.transform(raw(values).slice(0, cut)),
        pipeline.transform(raw(values).slice(cut)),
    ]
    assert pa.concat_tables([part.rows for part in parts]).equals(whole.rows)
    assert pa.concat_tables([part.letters for part in parts]).equals(whole.letters)
