"""Files that are proposed: columns every value fits, and text that has no faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.control.declare import EstateFile
from penstock.control.declare.known import parse_beside
from penstock.errors import ConfigError, DataError
from penstock.ingest import decoders
from penstock.ingest.onboarding import estimates, json_schemas, proposing, trials
from penstock.ingest.onboarding.inference import infer
from penstock.ingest.onboarding.proposals import Proposal, render
from penstock.ingest.onboarding.source_tables import look
from penstock.ingest.onboarding.source_types import (
    SourceColumn,
    SourceTable,
    columns_of,
    type_of,
)
from penstock.ingest.records import RAW
from penstock.model import tables

pytestmark = pytest.mark.unit

BASE = Proposal(name="views", topic="views", owner="web", head=["Proposed."])


def raw_of(*values: object) -> pa.Table:
    encoded = [json.dumps(v).encode() if not isinstance(v, bytes | None) else v for v in values]
    return pa.table(
        {
            "cluster": ["primary"] * len(values),
            "topic": ["views"] * len(values),
            "partition": [0] * len(values),
            "offset": list(range(len(values))),
            "timestamp_ms": [1_700_000_000_000] * len(values),
            "key": [b"k%d" % (n % 3) for n in range(len(values))],
            "value": encoded,
            "record_id": [None] * len(values),
        },
        schema=RAW,
    )


def declared(proposal: Proposal) -> tables.Table:
    """Return the table of the proposal, which is the same in both languages."""
    found = [
        parse_beside([EstateFile(path=f"x{suffix}", content=render(proposal, hocon=hocon))], None)
        for suffix, hocon in ((".yaml", False), (".conf", True))
    ]
    assert found[0] == found[1]
    [table] = found[0]
    return table


@pytest.mark.parametrize(
    ("values", "type_", "nullable"),
    [
        ([1, 2], "long", False),
        ([1, 2.5], "double", False),
        ([2**63], "decimal(38,0)", False),
        ([True], "boolean", False),
        (["x", "y"], "string", False),
        (["2026-01-31", "2026-02-01"], "date", False),
        (["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"], "timestamp", False),
        (["2026-01-31T12:00:00"], "string", False),
        (["2026-01-31T12:00:00Z", "2026-01-31"], "string", False),
        ([None], "string", True),
        ([1, None], "long", True),
        ([[1], [2, 3]], "array<long>", False),
        ([[]], "array<string>", False),
        ([{"a": 1}, {"b": "x"}], "struct<a: long, b: string>", False),
        ([[{"a": {"b": [1.5]}}]], "array<struct<a: struct<b: array<double>>>>", False),
        ([{f"k{n}": 1} for n in range(40)], "map<string, long>", False),
        ([{"order": 1, "date": "2026-01-31"}], "struct<order: long, date: date>", False),
    ],
)
def test_a_column_is_what_every_value_fits(
    values: list[object], type_: str, nullable: bool
) -> None:
    found = infer(json.dumps({"a": value}).encode() for value in values)
    [column] = found.columns
    assert (column.type, column.nullable) == (type_, nullable)
    assert column.note


def test_a_field_missing_in_any_may_be_null() -> None:
    found = infer([b'{"a": 1, "b": 1}', b'{"a": 2}'])
    assert [(c.name, c.nullable) for c in found.columns] == [("a", False), ("b", True)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1, "x", "y"], "it is text in 2, a number in 1"),
        ([{}, {}], "always an empty object"),
        ([10**40], "numbers of 41 digits"),
        ([{"a b": 1}], "cannot be those of a struct"),
    ],
)
def test_what_has_no_type_is_left_out_with_the_reason(values: list[object], why: str) -> None:
    found = infer(json.dumps({"a": value, "c": 1}).encode() for value in values)
    assert [column.name for column in found.columns] == ["c"]
    assert why in found.left_out["a"]


def test_a_topic_of_json_gives_an_append_table() -> None:
    raw = raw_of(
        *({"page": "/", "at": f"2026-11-21T10:00:{n:02}Z", "n": n, "user-id": 1} for n in range(20))
    )
    table = declared(proposing.from_records(BASE, raw))
    assert table.mode is tables.TableMode.APPEND
    assert [(c.name, c.type, c.nullable) for c in table.columns] == [
        ("page", "string", False),
        ("at", "timestamp", False),
        ("n", "long", False),
    ]
    assert table.partition_by == ("day",)
    trial = trials.attempt(table, raw)
    assert (trial.rows, trial.poison) == (20, 0)
    assert (trial.keys.missing, trial.keys.distinct) == (0, 3)


def test_a_topic_of_change_events_gives_a_merged_table() -> None:
    def event(oc: str, key: int, ns: str = "public.orders", **values: Any) -> Mapping[str, Any]:
        pk = {"id": key}
        return {"oc": oc, "ns": ns, "ot": 1_700_000_000_000, "pk": pk, "va": values or None}

    raw = raw_of(
        event("I", 1, total="12.50", note="x"),
        event("U", 1, total="13.00"),
        event("D", 2),
        event("I", 1, ns="public.other", size=1),
    )
    proposal = proposing.from_records(BASE, raw)
    table = declared(proposal)
    assert table.mode is tables.TableMode.MERGE_CDC
    assert (table.merge.primary_key, table.merge.namespace) == (("id",), "public.orders")
    assert [(c.name, c.nullable) for c in table.columns] == [
        ("id", False),
        ("total", True),
        ("note", True),
    ]
    assert "also seen: public.other" in render(proposal)
    trial = trials.attempt(table, raw)
    assert (trial.rows, trial.passed, trial.poison) == (3, 1, 0)


def test_records_that_are_no_json_say_what_to_do() -> None:
    with pytest.raises(DataError, match="--format protobuf"):
        proposing.from_records(BASE, raw_of(b"\x00\x01", None, b"[1]"))


def test_a_trial_tells_reasons_by_how_often_and_where() -> None:
    raw = raw_of({"a": 1}, {"a": "x"}, b"nothing", {"a": 2}, b"{}{}", b"nothing")
    proposal = proposing.from_records(BASE, raw_of({"a": 1}))
    trial = trials.attempt(declared(proposal), raw)
    assert (trial.records, trial.rows, trial.poison) == (6, 2, 4)
    assert trial.reasons[0].records == 2
    assert trial.reasons[0].example == "primary/views/0/2"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "at", "c d"]), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(
    st.sampled_from(
        ["id", "ID", "day", "offset", "null", "_ot", "x-y", "select", "ä", "a\nkind: x"]
    ),
    values,
)


@settings(max_examples=20)
@given(st.lists(objects, min_size=1, max_size=5))
def test_every_proposal_is_a_file_without_faults(records: list[dict[str, object]]) -> None:
    raw = raw_of(*records)
    proposal = proposing.from_records(BASE, raw)
    if not proposal.columns:
        with pytest.raises(ConfigError, match="there are no columns"):
            declared(proposal)
        return
    table = declared(proposal)
    assert [c.name for c in table.columns] == [c.name for c in proposal.columns]
    decoders.open_decoder(table)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("numeric(18,2)", "decimal(18,2)"),
        ("numeric(5)", "decimal(5,0)"),
        ("numeric", "string"),
        ("numeric(40,2)", "string"),
        ("numeric(3,-2)", "string"),
        ("numeric(2,4)", "string"),
        ("bigint", "long"),
        ("double precision", "double"),
        ("character varying(20)", "string"),
        ("timestamp(3) without time zone", "timestamp"),
        ("timestamp with time zone", "timestamp"),
        ("time(6) without time zone", "string"),
        ("interval", "string"),
        ("uuid", "string"),
        ("jsonb", "string"),
        ("bytea", "binary"),
        ("bit(1)", "boolean"),
        ("bit(8)", "binary"),
        ("integer[]", "array<integer>"),
        ("numeric(9,3)[]", "array<decimal(9,3)>"),
        ("hstore", "map<string, string>"),
    ],
)
def test_types_of_postgresql(type_: str, expected: str) -> None:
    found = type_of(SourceColumn(name="a", type=type_, nullable=True))
    assert found is not None
    assert found[0] == expected


def test_a_source_table_gives_a_merged_one_and_tells_what_it_leaves_out() -> None:
    source = SourceTable(
        name="public.orders",
        columns=(
            SourceColumn(name="id", type="bigint", nullable=False),
            SourceColumn(name="mood", type="shop.mood", nullable=True, enum=True),
            SourceColumn(name="place", type="point", nullable=True),
            SourceColumn(name="Order Id", type="integer", nullable=True),
        ),
        primary_key=("id",),
    )
    proposal = proposing.from_source(BASE, source)
    table = declared(proposal)
    assert [(c.name, c.type, c.nullable) for c in table.columns] == [
        ("id", "long", False),
        ("mood", "string", True),
    ]
    assert proposal.left_out.keys() == {"place", "Order Id"}
    with pytest.raises(ConfigError, match="it has no primary key"):
        proposing.from_source(BASE, SourceTable(name="t", columns=(), primary_key=()))
    assert columns_of(source)[1].keys() == {"place"}


def test_an_address_with_a_password_is_refused() -> None:
    for address in (
        "postgresql://u:secret@h/db",
        "host=h password = secret",
        "x://?password=secret",
    ):
        with pytest.raises(ConfigError, match=r"PGPASSWORD|no address") as caught:
            look(address, "public.t")
        assert "secret" not in caught.value.message


def test_a_json_schema_gives_what_it_promises() -> None:
    schema = {
        "type": "object",
        "required": ["id", "at"],
        "properties": {
            "id": {"type": "integer"},
            "at": {"type": "string", "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "place": {"$ref": "#/$defs/place"},
            "any": {},
            "both": {"type": ["string", "integer"]},
            "maybe": {"type": ["null", "number"]},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    proposal = json_schemas.propose(BASE, json.dumps(schema))
    assert {c.name: (c.type, c.nullable) for c in declared(proposal).columns} == {
        "id": ("long", False),
        "at": ("timestamp", False),
        "tags": ("array<string>", True),
        "place": ("struct<city: string>", True),
        "maybe": ("double", True),
        "counts": ("map<string, long>", True),
    }
    assert proposal.left_out.keys() == {"any", "both"}


LOAD = estimates.Load(records_per_s=1_000, record_bytes=200, row_bytes=50, record_us=1.2)


def test_estimates_show_their_arithmetic() -> None:
    table = declared(proposing.from_records(BASE, raw_of({"a": 1})))
    found = {one.what: one for one in estimates.estimate(table, LOAD)}
    assert found["records"].value == "86,400,000 a day"
    assert found["storage"].value == "4 GB a day"
    assert found["processor"].value == "276.5 CPU-seconds a day"
    assert found["commits"].value == "60 an hour"
    assert found["latency"].value == "within 60.5 s"


@given(
    st.floats(0, 1e6),
    st.floats(1, 1e5),
    st.sampled_from([0, 1_000, 900_000]),
    st.sampled_from(tables.TableMode),
    st.tuples(st.sampled_from(tables.Strategy), st.sampled_from(tables.Engine)),
)
def test_there_is_an_estimate_for_whatever_is_declared(
    rate: float,
    size: float,
    latency: int,
    mode: tables.TableMode,
    chosen: tuple[tables.Strategy, tables.Engine],
) -> None:
    table = tables.Table(
        name="t",
        topic="t",
        environment="e",
        owner="o",
        path="p",
        mode=mode,
        latency_ms=latency,
        engine=chosen[1],
        merge=tables.Merge(primary_key=("a",), strategy=chosen[0]),
    )
    load = estimates.Load(records_per_s=rate, record_bytes=size, row_bytes=size, record_us=1)
    found = [one.what for one in estimates.estimate(table, load)]
    assert ("merging" in found) == (mode is not tables.TableMode.APPEND)
    assert found[-1] == "latency"
