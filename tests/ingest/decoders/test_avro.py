"""Avro by a schema file: each line of the mapping, and what is no record of its schema."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from tests.schemas.stub import Stub

from penstock.errors import ConfigError, NotReady
from penstock.ingest import decoders
from penstock.ingest.decoders.avro import FiledAvro
from penstock.model import tables

pytestmark = pytest.mark.unit

TIMESTAMP = pa.timestamp("us", tz="UTC")
TREE = {"type": "record", "name": "Tree", "fields": [
    {"name": "name", "type": "string"}, {"name": "next", "type": ["null", "Tree"]}]}  # fmt: skip


def schema_of(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]}


def plain(kind: Any) -> Any:
    """Give the type as its values are stored, so that also wrong ones can be written."""
    if isinstance(kind, dict):
        return {name: plain(each) for name, each in kind.items() if name != "logicalType"}
    return [plain(each) for each in kind] if isinstance(kind, list) else kind


def written(kind: Any, value: object) -> bytes:
    stream = io.BytesIO()
    parsed = fastavro.parse_schema(schema_of(plain(kind)))
    fastavro.schemaless_writer(stream, parsed, {"x": value})
    return stream.getvalue()


def logical(kind: str, logical_type: str, **rest: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical_type, **rest}


DECIMAL = logical("bytes", "decimal", precision=6, scale=2)
FIXED_DECIMAL = logical("fixed", "decimal", precision=6, scale=2, name="D", size=4)
FIXED_UUID = logical("fixed", "uuid", name="U", size=16)
MAPPING = [
    ("boolean", True, pa.bool_(), True),
    ("int", -(2**31), pa.int32(), -(2**31)),
    ("long", 2**63 - 1, pa.int64(), 2**63 - 1),
    ("float", 0.5, pa.float32(), 0.5),
    ("double", math.inf, pa.float64(), math.inf),
    ("bytes", b"\xff", pa.binary(), b"\xff"),
    ("string", "ü", pa.string(), "ü"),
    (["null", "int"], None, pa.int32(), None),
    (["string", "null"], "x", pa.string(), "x"),
    (["int", "long"], 5, pa.int64(), 5),
    (["null", "float", "double"], 0.5, pa.float64(), 0.5),
    (["null", "int", "string"], "a", pa.string(), '"a"'),
    (["null", "int", "string"], 7, pa.string(), "7"),
    (["null", "bytes", "boolean"], b"hi", pa.string(), '"aGk="'),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", pa.string(), "B"),
    ({"type": "fixed", "name": "F", "size": 2}, b"ab", pa.binary(), b"ab"),
    ({"type": "array", "items": ["null", "int"]}, [1, None], pa.list_(pa.int32()), [1, None]),
    ({"type": "map", "values": "long"}, {"k": 1}, pa.map_(pa.string(), pa.int64()), [("k", 1)]),
    ({"type": "array", "items": logical("int", "date")}, [0], pa.list_(pa.date32()),
     [date(1970, 1, 1)]),
    ({"type": "map", "values": ["null", "int", "string"]}, {"k": 1, "l": None},
     pa.map_(pa.string(), pa.string()), [("k", "1"), ("l", None)]),
    (TREE, {"name": "a", "next": {"name": "b", "next": None}},
     pa.struct({"name": pa.string(), "next": pa.string()}),
     {"name": "a", "next": '{"name":"b","next":null}'}),
    (logical("int", "date"), -1, pa.date32(), date(1969, 12, 31)),
    (logical("int", "time-millis"), 1500, pa.int64(), 1_500_000),
    (logical("long", "time-micros"), 1500, pa.int64(), 1500),
    (logical("long", "timestamp-millis"), -1, TIMESTAMP,
     datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
    (logical("long", "timestamp-micros"), 1, TIMESTAMP, datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
    (logical("long", "timestamp-nanos"), 1999, TIMESTAMP, datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
    (logical("long", "timestamp-nanos"), -1, TIMESTAMP,
     datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
    (logical("long", "local-timestamp-millis"), 500, pa.string(), "1970-01-01T00:00:00.500000"),
    (logical("long", "local-timestamp-micros"), 1, pa.string(), "1970-01-01T00:00:00.000001"),
    (logical("long", "local-timestamp-nanos"), 1000, pa.string(), "1970-01-01T00:00:00.000001"),
    (DECIMAL, b"\xfb\x1e", pa.decimal128(6, 2), Decimal("-12.50")),
    (FIXED_DECIMAL, b"\x00\x00\x04\xe2", pa.decimal128(6, 2), Decimal("12.50")),
    (logical("bytes", "decimal", precision=50), b"\x01", pa.binary(), b"\x01"),
    (logical("string", "uuid"), "anything", pa.string(), "anything"),
    (FIXED_UUID, bytes(range(16)), pa.string(), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    (logical("fixed", "duration", name="P", size=12), bytes(12), pa.binary(), bytes(12)),
    (logical("int", "unheard-of"), 3, pa.int32(), 3),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "made", "read"), MAPPING)
def test_the_mapping_value_by_value(
    kind: Any, value: object, made: pa.DataType, read: object
) -> None:
    decoder = FiledAvro(json.dumps(schema_of(kind)), None)
    found = decoder.decode(pa.array([written(kind, value)], pa.binary()))
    assert found["x"].to_pylist() == [read]
    assert str(found.schema.field("x").type).replace("element", "item") == str(made)
    found.validate(full=True)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (logical("long", "timestamp-millis"), 2**62, "the field 'x' is no time between"),
        (logical("long", "timestamp-micros"), 2**62, "the field 'x' is no time between"),
        (logical("long", "local-timestamp-micros"), -(2**62), "the field 'x' is no time between"),
        (DECIMAL, b"\x7f\xff\xff\xff", "the field 'x' does not fit decimal128(6, 2)"),
    ],
)
def test_values_that_no_column_holds_are_poison(kind: Any, value: object, reason: str) -> None:
    decoder = FiledAvro(json.dumps(schema_of(kind)), None)
    good = written(kind, b"\x01" if isinstance(value, bytes) else 1)
    values = pa.array([good, written(kind, value), good], pa.binary())
    decoded = decoders.decode(values, decoder, refused={})
    assert decoded.kept.to_pylist() == [0, 2]
    assert reason in decoded.poison[0].reason


@pytest.mark.parametrize(
    "value", [b"", b"\x05", b"\x0eshort", b"\x02\xff", b"\x02aa", b"\xff" * 12]
)
def test_bytes_that_are_no_record_are_poison(value: bytes) -> None:
    decoder = FiledAvro(json.dumps(schema_of("string")), None)
    good = written("string", "good")
    decoded = decoders.decode(pa.array([good, value, good], pa.binary()), decoder, refused={})
    assert decoded.columns["x"].to_pylist() == ["good", "good"]
    assert "not Avro of its schema" in decoded.poison[0].reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not JSON", "cannot be parsed"),
        ('{"type": "record", "name": "R", "fields": [{"name": "x", "type": "gone"}]}', "gone"),
        ('"string"', "of no record"),
        ('{"type": "record", "name": "R", "fields": []}', "no columns"),
        (json.dumps(schema_of("string")), "string is not int64"),
    ],
)
def test_a_schema_that_gives_no_columns_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "schema.avsc"
    path.write_text(text)
    told = tables.Decoder(format=tables.Format.AVRO, descriptor=str(path))
    columns = (tables.Column(name="x", type="long"),)
    table = tables.Table(
        name="t", topic="t", environment="e", owner="o", path="p", decoder=told, columns=columns
    )
    with pytest.raises(ConfigError, match=said):
        decoders.open_decoder(table)


def test_a_registry_that_fails_decides_about_no_record(stub: Stub) -> None:
    """Known ids go on; a new one waits, and is no dead letter."""
    stub.add(1, json.dumps(schema_of("string")), "AVRO", subject="t-value")
    told = tables.Decoder(format=tables.Format.AVRO, registry=stub.url)
    table = tables.Table(name="t", topic="t", environment="e", owner="o", path="p", decoder=told)
    decoder = decoders.open_decoder(table)
    frame = bytes(5)[:4]
    known = frame + b"\x01" + written("string", "a")
    assert decoder.decode(pa.array([known]))["x"].to_pylist() == ["a"]
    stub.status = 503
    new = frame + b"\x02" + written("string", "b")
    assert decoder.decode(pa.array([known]))["x"].to_pylist() == ["a"]
    with pytest.raises(NotReady):
        decoders.decode(pa.array([known, new, b""]), decoder, refused={})
    stub.status = 401
    with pytest.raises(ConfigError):
        decoders.decode(pa.array([known, new, b""]), decoder, refused={})


def test_a_value_nested_without_end_ends_nothing() -> None:
    schema = schema_of(["null", {**TREE, "fields": [{"name": "next", "type": ["null", "Tree"]}]}])
    decoder = FiledAvro(json.dumps(schema), None)
    values = [b"\x02\x00", b"\x02" * 1_000_000 + b"\x00", b"\x00"]
    decoded = decoders.decode(pa.array(values, pa.binary()), decoder, refused={})
    assert decoded.columns["x"].to_pylist() == [{"next": None}, None]
    assert "recursion" in decoded.poison[0].reason
