from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.ingest import changes_envelope
from penstock.ingest.decoders.protocol import Unreadable
from penstock.model import tables

pytestmark = pytest.mark.unit


def orders(**merge: Any) -> tables.Table:
    return tables.Table(
        name="orders",
        topic="orders",
        environment="test",
        owner="shop",
        path="orders",
        mode=tables.TableMode.MERGE_CDC,
        columns=(
            tables.Column(name="id", type="long", nullable=False),
            tables.Column(name="name", type="string"),
            tables.Column(name="total", type="double", nullable=False),
            tables.Column(name="un", type="string"),
        ),
        merge=tables.Merge(primary_key=("id",), **merge),
    )


def event(oc: str = "U", **parts: Any) -> dict[str, Any]:
    va = {"name": "n", "total": 1.5, "un": None}
    return {"oc": oc, "ns": "public.orders", "ot": 7, "pk": {"id": 1}, "va": va} | parts


def decode(*events: Any, **merge: Any) -> list[dict[str, Any]]:
    values = pa.array(
        [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events], pa.binary()
    )
    decoder = changes_envelope.open_decoder(orders(**merge))
    rows = decoder.decode(values)
    assert rows.schema == decoder.schema
    assert rows.num_rows == len(events)
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def test_an_event_is_a_row_with_its_marks() -> None:
    (row,) = decode(event("I", sq=42, ot=1_763_740_985_123))
    assert (row["id"], row["name"], row["total"], row["un"]) == (1, "n", 1.5, None)
    assert (row["_op"], row["_sequence"], row["_absent"]) == ("I", 42, None)
    assert row["_ot"].timestamp() == 1_763_740_985.123


def test_an_update_leaves_alone_what_it_does_not_say() -> None:
    said = event(va={"name": None, "total": 2.0, "un": None})
    unsaid = event(va={"total": 2.0, "un": "x"})
    rows = decode(said, unsaid)
    assert [row["_absent"] for row in rows] == [None, ["name"]]


@pytest.mark.parametrize(
    "va",
    [
        {"total": 1.0, "un": None, "other": {"name": None}},
        {"total": 1.0, "un": '"name": null'},
        {"total": 1.0, "un": "name"},
        {"total": 1.0, "un": None, "other": "{{{"},
    ],
)
def test_a_name_that_stands_elsewhere_is_not_the_column(va: dict[str, Any]) -> None:
    assert decode(event(va=va))[0]["_absent"] == ["name"]


def test_an_escaped_name_is_the_column() -> None:
    plain = json.dumps(event(va={"name": None, "total": 1.0, "un": None}))
    assert decode(plain.replace('"name"', '"n\\u0061me"').encode())[0]["_absent"] is None


def test_an_insert_makes_null_what_it_does_not_say_unless_un_names_it() -> None:
    rows = decode(
        event("I", va={"total": 1.0}), event("I", va={"total": 1.0}, un=["name", "strange"])
    )
    assert [row["_absent"] for row in rows] == [None, ["name"]]


def test_a_column_that_may_not_be_null_may_be_left_out() -> None:
    assert decode(event(va={"name": "x", "un": None}))[0]["_absent"] == ["total"]
    with pytest.raises(DataError, match="'total' is missing or null in va"):
        decode(event(va={"name": "x", "total": None, "un": None}))
    with pytest.raises(DataError, match="'total' is missing or null in va"):
        decode(event("I", va={"name": "x", "un": None}))


def test_a_delete_is_its_key_alone() -> None:
    rows = decode(event("D", va=None), event("D"))
    assert [(row["id"], row["name"], row["total"]) for row in rows] == [(1, None, None)] * 2


def test_a_row_that_moved_says_where_from_and_where_to() -> None:
    rows = decode(
        event("D", va=None, nk={"id": 2}),
        event("I", pk={"id": 2}, ok={"id": 1}, un=["name"], va={"total": 1.0}),
        event("I", pk={"id": 2}, ok={"id": 1}),
    )
    assert [row["_former"] for row in rows] == ['["2"]', '["1"]', None]


def test_a_truncation_has_no_key() -> None:
    (row,) = decode(event("T", pk=None, va=None, sq=9))
    assert (row["_op"], row["id"], row["_sequence"]) == ("T", None, 9)


def test_another_namespace_is_a_row_without_an_operation() -> None:
    foreign = event(ns="public.people", pk={"id": "text"}, va={"name": 5})
    rows = decode(foreign, event(), foreign, event("D"), namespace="public.orders")
    assert [row["_op"] for row in rows] == [None, "U", None, "D"]
    assert [row["_op"] for row in decode(foreign, namespace="public.orders")] == [None]


def test_what_is_wrong_among_several_namespaces_is_told_by_its_place() -> None:
    foreign = event(ns="public.people", va={"name": 5})
    wrong = event(va={"name": 5, "total": 1.0})
    with pytest.raises(DataError) as told:
        decode(foreign, foreign, wrong, namespace="public.orders")
    if isinstance(told.value, Unreadable):
        assert set(told.value.reasons) <= {2}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (event("X"), "oc is 'X'"),
        (event(pk=None), "key column 'id' is missing"),
        (event(pk={}), "key column 'id' is missing"),
        (event(pk={"id": "1"}), "id"),
        (event(va={"id": 2, "name": "n", "total": 1.0}), "pk and va differ"),
        (event(ot=None), "ot"),
        (event(ot="2024-01-01T00:00:00Z"), "ot"),
        (b"null", "not a JSON object"),
        (b'{"oc":"D","ot":1,"pk":{"id":1}}{}', "more than one"),
    ],
)
def test_what_is_no_event_is_told(wrong: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode(wrong)


texts = st.none() | st.text(alphabet='n"{}:\\une a', max_size=6)


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"name": texts, "total": st.floats(0, 1), "un": texts, "extra": texts}
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_null_and_absent_are_never_taken_for_each_other(
    values: list[dict[str, Any]], ascii_only: bool
) -> None:
    events = [json.dumps(event(va=va), ensure_ascii=ascii_only).encode() for va in values]
    for va, row in zip(values, decode(*events), strict=True):
        assert row["_absent"] == (sorted({"name", "total", "un"} - va.keys()) or None)
        assert {name: row[name] for name in va if name != "extra"} == {
            name: value for name, value in va.items() if name != "extra"
        }
