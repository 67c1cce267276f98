"""The JSON decoder: every value is one row or one poison record, whatever bytes it is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ingest import decoders
from penstock.model import tables

pytestmark = pytest.mark.unit

COLUMNS = tuple(
    tables.Column(name=name, type=kind)
    for name, kind in {
        "i": "long",
        "d": "double",
        "s": "string",
        "b": "boolean",
        "t": "timestamp",
        "y": "date",
    }.items()
)


def decode(
    values: list[bytes | None], columns: tuple[tables.Column, ...] = COLUMNS
) -> decoders.Decoded:
    return decoders.decode(values, columns, decoder=decoders.decode_json, refused={})


def row(value: bytes) -> dict[str, Any]:
    decoded = decode([value])
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
        (b'{"y": "2024-02-29"}', {"y": date(2024, 2, 29)}),
        (b'{"i": null, "undeclared": {"deep": [1]}}', {}),
        (b' {\n"i"\r\n: 1 }\n', {"i": 1}),
        (b"{}", {}),
    ],
)
def test_values_that_are_rows(value: bytes, expected: dict[str, Any]) -> None:
    assert row(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b"null", b"[]", b"1", b'"{}"', b"{", b"}", b'{"i": 1', b'{"i": 1}{"i": 2}',
        b'{"i": 1}\n{"i": 2}', b'{"i": 1}}', b'{"i": "1"}', b'{"i": 1.5}', b'{"i": true}',
        b'{"i": 9223372036854775808}', b'{"d": "1"}', b'{"s": 1}', b'{"b": 1}', b'{"t": 1}',
        b'{"t": "yesterday"}', b'{"y": "2024-02-30"}', b'{"y": 1}', b'{"s": "\xff"}',
        b'{"s": "a\nb"}', b'{"i": 1, "i": 2}', b'{"s": "\\ud800"}', b"\xef\xbb\xbf{}", b'{"i": 01}',
    ],
)  # fmt: skip
def test_values_that_are_poison_leave_their_neighbours_alone(value: bytes) -> None:
    decoded = decode([b'{"i": 7}', value, b'{"i": 8}'])
    assert decoded.kept == (0, 2)
    assert decoded.columns["i"].to_pylist() == [7, 8]
    assert [poison.index for poison in decoded.poison] == [1]
    assert decoded.poison[0].reason


def test_tombstones_and_refused_records_are_poison() -> None:
    decoded = decoders.decode(
        [None, b"{}", b"{}"], COLUMNS, decoder=decoders.decode_json, refused={2: "bad key"}
    )
    assert decoded.kept == (1,)
    assert [(p.index, "tombstone" in p.reason) for p in decoded.poison] == [(0, True), (2, False)]


def test_a_missing_or_null_field_of_a_column_that_is_not_nullable_is_poison() -> None:
    columns = (tables.Column(name="id", type="string", nullable=False),)
    decoded = decode([b'{"id": "a"}', b"{}", b'{"id": null}'], columns)
    assert decoded.kept == (0,)
    assert {p.reason for p in decoded.poison} == {"the field 'id' is missing or null"}


def test_nothing_to_decode_is_an_empty_table_of_the_declared_columns() -> None:
    decoded = decode([])
    assert decoded.columns.num_rows == 0
    assert decoded.columns.column_names == [column.name for column in COLUMNS]


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
    assert whole.kept == tuple(index for index, one in enumerate(alone) if one.kept)
    assert whole.columns.to_pylist() == [r for one in alone for r in one.columns.to_pylist()]
    for index in whole.kept:
        assert isinstance(json.loads(batch[index]), dict)


@given(
    st.lists(st.dictionaries(st.sampled_from("ids"), st.integers(-(2**63), 2**63 - 1)), max_size=20)
)
def test_what_json_writes_is_read_back(objects: list[dict[str, int]]) -> None:
    """Only ``s``, a string column, refuses numbers."""
    decoded = decode([json.dumps(each).encode() for each in objects])
    assert [p.index for p in decoded.poison] == [n for n, each in enumerate(objects) if "s" in each]
    assert decoded.columns["i"].to_pylist() == [e.get("i") for e in objects if "s" not in e]
