"""The JSON decoder: every value is one row or one poison record, whatever bytes it is."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ingest import decoders
from penstock.ingest.decoders.json import JsonDecoder
from penstock.model import tables

pytestmark = pytest.mark.unit


def columns(**kinds: str) -> tuple[tables.Column, ...]:
    return tuple(tables.Column(name=name, type=kind) for name, kind in kinds.items())


COLUMNS = columns(i="long", d="double", s="string", b="boolean", t="timestamp", y="date")
NESTED = columns(
    st="struct<a: integer, b: struct<t: timestamp>, c: array<date>>",
    li="array<struct<x: decimal(5,2), y: binary>>",
    ma="map<string, long>",
    md="map<integer, struct<d: decimal(5,2), f: float, l: array<timestamp>>>",
    by="byte",
    sh="short",
    it="integer",
    f="float",
    de="decimal(38,10)",
    bi="binary",
)


def decode(
    values: list[bytes | None], wanted: tuple[tables.Column, ...] = COLUMNS
) -> decoders.Decoded:
    return decoders.decode(pa.array(values, pa.binary()), JsonDecoder(wanted), refused={})


def row(value: bytes, wanted: tuple[tables.Column, ...] = COLUMNS) -> dict[str, Any]:
    decoded = decode([value], wanted)
    assert not decoded.poison
    return {k: v for k, v in decoded.columns.to_pylist()[0].items() if v is not None}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"i": 1, "d": 2, "s": "x", "b": true}', {"i": 1, "d": 2.0, "s": "x", "b": True}),
        (
            b'{"t": "2026-11-21T10:00:00.5+02:00"}',
            {"t": datetime(2026, 11, 21, 8, 0, 0, 500_000, UTC)},
        ),
        (b'{"t": "2026-11-21 10:00:00Z"}', {"t": datetime(2026, 11, 21, 10, tzinfo=UTC)}),
        (
            b'{"t": "2026-11-21T10:00:00.123456789Z"}',
            {"t": datetime(2026, 11, 21, 10, 0, 0, 123456, UTC)},
        ),
        (b'{"y": "2024-02-29"}', {"y": date(2024, 2, 29)}),
        (b'{"i": null, "undeclared": {"deep": [1]}}', {}),
        (b' {\n"i"\r\n: 1 }\n', {"i": 1}),
        (b"{}", {}),
    ],
)
def test_values_that_are_rows(value: bytes, expected: dict[str, Any]) -> None:
    assert row(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"st": {"a": 1, "b": {"t": "2026-01-01T00:00:00Z"}, "c": ["2026-01-02", null], "z": 1}}',
         {"st": {"a": 1, "b": {"t": datetime(2026, 1, 1, tzinfo=UTC)},
                 "c": [date(2026, 1, 2), None]}}),
        (b'{"st": {}}', {"st": {"a": None, "b": None, "c": None}}),
        (b'{"li": [{"x": 1.25, "y": "aGk="}, null, {"x": "-1"}]}',
         {"li": [{"x": Decimal("1.25"), "y": b"hi"}, None, {"x": Decimal("-1.00"), "y": None}]}),
        (b'{"li": []}', {"li": []}),
        (b'{"ma": {"a": 1, "": null}}', {"ma": [("a", 1), ("", None)]}),
        (b'{"ma": {}}', {"ma": []}),
        (b'{"md": {"7": {"d": 0.1, "f": 1, "l": ["2026-01-01T00:00:00Z"]}}}',
         {"md": [(7, {"d": Decimal("0.10"), "f": 1.0, "l": [datetime(2026, 1, 1, tzinfo=UTC)]})]}),
        (b'{"by": -128, "sh": 32767, "it": -2147483648}',
         {"by": -128, "sh": 32767, "it": -2147483648}),
        (b'{"de": 1234567890123456789012345678.0123456789}',
         {"de": Decimal("1234567890123456789012345678.0123456789")}),
        (b'{"de": "0.1000"}', {"de": Decimal("0.1000000000")}),
        (b'{"de": 1e3}', {"de": Decimal(1000)}),
        (b'{"bi": ""}', {"bi": b""}),
        (b'{"f": 0.5}', {"f": 0.5}),
    ],
)  # fmt: skip
def test_nested_and_narrow_values_that_are_rows(value: bytes, expected: dict[str, Any]) -> None:
    assert row(value, NESTED) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b"null", b"[]", b"1", b'"{}"', b"{", b"}", b'{"i": 1', b'{"i": 1}{"i": 2}',
        b'{"i": 1}\n{"i": 2}', b'{"i": 1}}', b'{"i": "1"}', b'{"i": 1.5}', b'{"i": true}',
        b'{"i": 9223372036854775808}', b'{"d": "1"}', b'{"s": 1}', b'{"b": 1}', b'{"t": 1}',
        b'{"t": "yesterday"}', b'{"y": "2024-02-30"}', b'{"y": 1}', b'{"s": "\xff"}',
        b'{"s": "a\nb"}', b'{"i": 1, "i": 2}', b'{"s": "\\ud800"}', b"\xef\xbb\xbf{}", b'{"i": 01}',
        b'{"t": "2026-11-21T10:00:00"}', b'{"t": "2026-11-21"}', b'{"t": "2026-11-21T10:00Z"}',
        b'{"t": "2026-11-21T25:00:00Z"}', b'{"t": "2026-11-21T10:00:00+0200"}', b'{"t": 1.5}',
        b'{"t": 1795255200000}', b'{"d": NaN}', b'{"d": Infinity}', b'{"d": 1e999}', b'{"y": ""}',
        b'{"y": "2024-02-01T00:00:00Z"}', b'{"d": true}', b'{"s": {}}', b'{"b": "true"}',
    ],
)  # fmt: skip
def test_values_that_are_poison_leave_their_neighbours_alone(value: bytes) -> None:
    decoded = decode([b'{"i": 7}', value, b'{"i": 8}'])
    assert decoded.kept.to_pylist() == [0, 2]
    assert decoded.columns["i"].to_pylist() == [7, 8]
    assert [poison.index for poison in decoded.poison] == [1]
    assert decoded.poison[0].reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"st": {"a": "1"}}', "the field 'st.a' is no whole number: '1'"),
        (b'{"st": {"b": {"t": "soon"}}}',
         "the field 'st.b.t' is no RFC 3339 time with a zone: 'soon'"),
        (b'{"st": {"c": ["2026-01-01", "?"]}}', "the field 'st.c[]' is no date: '?'"),
        (b'{"li": [{"x": 1.255}]}', "1.255 requires scale 3"),
        (b'{"li": [{"y": "a"}]}', "the field 'li[].y' is not base64: 'a'"),
        (b'{"ma": {"a": "1"}}', "the field 'ma[a]' is no whole number: '1'"),
        (b'{"ma": {"a": 1.0}}', "the field 'ma[a]' is no whole number: 1.0"),
        (b'{"ma": {"a": true}}', "the field 'ma[a]' is no whole number: True"),
        (b'{"ma": {"a": 9223372036854775808}}', "the field 'ma[a]' does not fit int64"),
        (b'{"ma": [1]}', "the field 'ma' is no object: [1]"),
        (b'{"md": {"x": null}}', "the field 'md[key]' is no int32: 'x'"),
        (b'{"md": {"1": {"d": 0.125}}}', "the field 'md[value].d' is no exact decimal128(5, 2)"),
        (b'{"md": {"1": {"f": 1e39}}}', "the field 'md[1].f' is no number that fits"),
        (b'{"by": 128}', "the field 'by' does not fit int8: 128"),
        (b'{"sh": -32769}', "the field 'sh' does not fit int16: -32769"),
        (b'{"it": 2147483648}', "the field 'it' does not fit int32: 2147483648"),
        (b'{"f": 1e39}', "the field 'f' is no number that fits"),
        (b'{"de": true}', "the field 'de' is no number: True"),
        (b'{"de": "x"}', "'x' is not a valid decimal"),
        (b'{"bi": "?"}', "the field 'bi' is not base64: '?'"),
    ],
)  # fmt: skip
def test_poison_says_which_field_and_why(value: bytes, reason: str) -> None:
    decoded = decode([b"{}", value, b"{}"], NESTED)
    assert decoded.kept.to_pylist() == [0, 2]
    assert reason in decoded.poison[0].reason


@pytest.mark.parametrize("kind", ["float", "double"])
def test_what_json_has_no_number_for_is_read_from_its_three_texts(kind: str) -> None:
    """As protobuf's JSON writes them, and the change events of a database's real numbers."""
    wanted = columns(x=kind, s="string", n=f"struct<l: array<{kind}>>", m=f"map<string, {kind}>")
    decoded = decode(
        [
            b'{"x": 1}',
            b'{"x": "NaN", "s": "NaN"}',
            b'{"x": "nan"}',
            b'{"x": 2, "n": {"l": ["-Infinity", 0.5]}, "m": {"a": "Infinity"}}',
            b'{"x": "Infinity", "s": 1}',
            b'{"x": 3, "s": "Infinity"}',
            b'{"x": NaN}',
        ],
        wanted,
    )
    assert decoded.kept.to_pylist() == [0, 1, 3, 5]
    assert [str(value) for value in decoded.columns["x"].to_pylist()] == [
        "1.0",
        "nan",
        "2.0",
        "3.0",
    ]
    assert decoded.columns["s"].to_pylist() == [None, "NaN", None, "Infinity"]
    assert decoded.columns["n"][2].as_py() == {"l": [-math.inf, 0.5]}
    assert decoded.columns["m"][2].as_py() == [("a", math.inf)]


@pytest.mark.parametrize("shape", ['{"f": %s}', '{"m": {"a": %s}}', '{"f": %s, "s": "NaN"}'])
def test_a_float_holds_what_rounds_to_it(shape: str) -> None:
    wanted = columns(f="float", m="map<string, float>", s="string")
    values = [shape % text for text in ("3.4028235e+38", "-3.40282356e38", "3.40282357e38")]
    decoded = decode([value.encode() for value in values], wanted)
    assert decoded.kept.to_pylist() == [0, 1]


@pytest.mark.parametrize("wanted", [columns(i="long"), columns(m="map<string, decimal(3,1)>")])
def test_a_value_nested_without_end_ends_nothing(wanted: tuple[tables.Column, ...]) -> None:
    deep = 100_000
    values = [
        b"{}",
        b'{"z":' * deep + b"1" + b"}" * deep,
        b'{"i":' + b"[" * deep + b"]" * deep + b"}",
        b'{"m": {"\\ud800": 1}}',
        b"{}",
    ]
    kept = decode(values, wanted).kept.to_pylist()
    assert {0, 4} <= set(kept) <= {0, 1, 4}


def test_tombstones_and_refused_records_are_poison() -> None:
    decoded = decoders.decode(
        pa.array([None, b"{}", b"{}"], pa.binary()), JsonDecoder(COLUMNS), refused={2: "bad key"}
    )
    assert decoded.kept.to_pylist() == [1]
    assert [(p.index, "tombstone" in p.reason) for p in decoded.poison] == [(0, True), (2, False)]


def test_a_missing_or_null_field_of_a_column_that_is_not_nullable_is_poison() -> None:
    wanted = (tables.Column(name="id", type="string", nullable=False),)
    decoded = decode([b'{"id": "a"}', b"{}", b'{"id": null}'], wanted)
    assert decoded.kept.to_pylist() == [0]
    assert {p.reason for p in decoded.poison} == {"the field 'id' is missing or null"}
    assert not decoded.columns.schema.field("id").nullable


def test_a_required_field_inside_is_missed_only_where_its_struct_is() -> None:
    wanted = columns(o="struct<id: long not null>", l="array<struct<id: long not null>>")
    decoded = decode([b"{}", b'{"o": {"id": 1}}', b'{"o": {}}', b'{"l": [{"id": 1}, {}]}'], wanted)
    assert decoded.kept.to_pylist() == [0, 1]
    assert [p.reason for p in decoded.poison] == [
        "the field 'o.id' is missing or null",
        "the field 'l[].id' is missing or null",
    ]


def test_nothing_to_decode_is_an_empty_table_of_the_declared_columns() -> None:
    decoded = decode([])
    assert decoded.columns.num_rows == 0
    assert decoded.columns.column_names == [column.name for column in COLUMNS]


def test_much_poison_in_a_large_batch_is_found_and_nothing_else() -> None:
    bad = {0: b"null", 1: b'{"i": "x"}', 2999: b'{"i": 1', 3000: b'{"t": "?"}', 4999: b"{}{}"}
    decoded = decode([bad.get(n, b'{"i": %d}' % n) for n in range(5000)])
    assert [p.index for p in decoded.poison] == list(bad)
    assert decoded.columns["i"].to_pylist() == [n for n in range(5000) if n not in bad]
    assert decoded.kept.to_pylist() == decoded.columns["i"].to_pylist()


fragments = st.sampled_from(
    [b"{", b"}", b'{"i":1}', b'{"i":', b"1", b",", b'"', b"\n", b'"s":"x"', b"[", b"]", b" ",
     b"null", b"{}", b'{"z":{"i":1}', b'"z":[', b"\\", b":", b"/*", b"*/", b"\x00"]
)  # fmt: skip
broken = st.lists(fragments, max_size=6).map(b"".join)
values = st.one_of(broken, broken.map(lambda inside: b"{" + inside + b"}"), st.binary(max_size=8))


@given(st.lists(values, max_size=8))
def test_a_batch_decodes_as_its_values_do_one_by_one(batch: list[bytes]) -> None:
    """Broken values that would complete each other, were they read as one stream."""
    whole = decode(list(batch))
    alone = [decode([value]) for value in batch]
    assert whole.kept.to_pylist() == [index for index, one in enumerate(alone) if one.kept]
    assert whole.columns.to_pylist() == [r for one in alone for r in one.columns.to_pylist()]
    for index in whole.kept.to_pylist():
        assert isinstance(json.loads(batch[index]), dict)


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # fmt: skip  # noqa: DTZ001
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-999, max_value=999)  # fmt: skip
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
maybe = lambda strategy: st.none() | strategy  # noqa: E731
rows = st.fixed_dictionaries(
    {},
    optional={
        "st": maybe(st.fixed_dictionaries({
            "a": maybe(numbers(32)),
            "b": maybe(st.fixed_dictionaries({"t": maybe(times)})),
            "c": maybe(st.lists(maybe(st.dates()), max_size=3)),
        })),
        "li": maybe(st.lists(maybe(st.fixed_dictionaries(
            {"x": maybe(decimals), "y": maybe(st.binary(max_size=5))})), max_size=3)),
        "ma": maybe(st.dictionaries(st.text(max_size=3), maybe(numbers(64)), max_size=3)),
        "md": maybe(st.dictionaries(numbers(32), maybe(st.fixed_dictionaries({
            "d": maybe(decimals), "f": maybe(floats), "l": maybe(st.lists(times, max_size=2)),
        })), max_size=3)),
        "by": maybe(numbers(8)), "sh": maybe(numbers(16)), "it": maybe(numbers(32)),
        "f": maybe(floats), "de": maybe(decimals), "bi": maybe(st.binary(max_size=9)),
    },
)  # fmt: skip


def as_json(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case date() | Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): as_json(each) for key, each in value.items()}
        case list():
            return [as_json(each) for each in value]
        case _:
            return value


def as_read(value: object) -> object:
    """A map is read as pairs, in the order they were written."""
    if isinstance(value, list):
        return [as_read(each) for each in value]
    if isinstance(value, dict):
        return {key: as_read(each) for key, each in value.items()}
    return value


@given(st.lists(rows, max_size=5))
def test_what_json_writes_is_read_back(objects: list[dict[str, Any]]) -> None:
    decoded = decode([json.dumps(as_json(each)).encode() for each in objects], NESTED)
    assert not decoded.poison
    for read, written in zip(decoded.columns.to_pylist(), objects, strict=True):
        for name in ("ma", "md"):
            read[name] = None if read[name] is None else dict(read[name])
        assert read == {column.name: as_read(written.get(column.name)) for column in NESTED}
