"""Protobuf by a descriptor file: each line of the mapping, and what no column can hold."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.ingest.decoders import protos

from penstock.errors import ConfigError
from penstock.ingest import decoders
from penstock.ingest.decoders.protobuf import DescribedProtobuf
from penstock.model import tables

pytestmark = pytest.mark.unit

FILES = protos.compiled(protos.EVERYTHING)
CLASSES = protos.classes(FILES)
All = CLASSES("shop.All")
TIMESTAMP = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="module")
def everything() -> DescribedProtobuf:
    return DescribedProtobuf(FILES, "shop.All", None)


def decode(values: list[bytes], decoder: DescribedProtobuf) -> decoders.Decoded:
    return decoders.decode(pa.array(values, pa.binary()), decoder, refused={})


def narrow(wanted: dict[str, pa.DataType], message: str = "shop.All") -> DescribedProtobuf:
    return DescribedProtobuf(FILES, message, pa.schema(list(wanted.items())))


BIG = 2**64 - 1
MAPPING = [
    ("f_double", {"f_double": 1.5}, pa.float64(), 1.5),
    ("f_double", {"f_double": math.inf}, pa.float64(), math.inf),
    ("f_float", {"f_float": -math.inf}, pa.float32(), -math.inf),
    ("f_int32", {"f_int32": -(2**31)}, pa.int32(), -(2**31)),
    ("f_int64", {"f_int64": -(2**63)}, pa.int64(), -(2**63)),
    ("f_uint32", {"f_uint32": 2**32 - 1}, pa.int64(), 2**32 - 1),
    ("f_uint64", {"f_uint64": BIG}, pa.decimal128(20, 0), Decimal(BIG)),
    ("f_sint32", {"f_sint32": -7}, pa.int32(), -7),
    ("f_sint64", {"f_sint64": -7}, pa.int64(), -7),
    ("f_fixed32", {"f_fixed32": 2**32 - 1}, pa.int64(), 2**32 - 1),
    ("f_fixed64", {"f_fixed64": BIG}, pa.decimal128(20, 0), Decimal(BIG)),
    ("f_sfixed32", {"f_sfixed32": -1}, pa.int32(), -1),
    ("f_sfixed64", {"f_sfixed64": -1}, pa.int64(), -1),
    ("f_bool", {"f_bool": True}, pa.bool_(), True),
    ("f_string", {"f_string": "ü\x00"}, pa.string(), "ü\x00"),
    ("f_bytes", {"f_bytes": b"\xff\x00"}, pa.binary(), b"\xff\x00"),
    ("f_int32", {}, pa.int32(), 0),
    ("f_string", {}, pa.string(), ""),
    ("o_int32", {}, pa.int32(), None),
    ("o_int32", {"o_int32": 0}, pa.int32(), 0),
    ("o_string", {"o_string": ""}, pa.string(), ""),
    ("o_kind", {}, pa.string(), None),
    ("o_bool", {"o_bool": False}, pa.bool_(), False),
    ("kind", {}, pa.string(), "UNKNOWN"),
    ("kind", {"kind": 2}, pa.string(), "REFUND"),
    ("kind", {"kind": -1}, pa.string(), "NEGATIVE"),
    ("kind", {"kind": 77}, pa.string(), "77"),
    ("kinds", {"kinds": [1, 9]}, pa.list_(pa.string()), ["SALE", "9"]),
    ("item", {}, None, None),
    ("item", {"item": {}}, None, {"sku": "", "count": None, "tags": []}),
    ("item", {"item": {"sku": "a", "tags": [{"name": "x", "weight": BIG}]}}, None,
     {"sku": "a", "count": None, "tags": [{"name": "x", "weight": Decimal(BIG)}]}),
    ("items", {"items": [{}, {"count": 0}]}, None,
     [{"sku": "", "count": None, "tags": []}, {"sku": "", "count": 0, "tags": []}]),
    ("numbers", {"numbers": [1, -1]}, pa.list_(pa.int32()), [1, -1]),
    ("texts", {}, pa.list_(pa.string()), []),
    ("by_name", {"by_name": {"a": {"sku": "x"}}}, None,
     [("a", {"sku": "x", "count": None, "tags": []})]),
    ("by_number", {"by_number": {-1: 1}}, pa.map_(pa.int32(), pa.string()), [(-1, "SALE")]),
    ("by_flag", {"by_flag": {True: b"x"}}, pa.map_(pa.bool_(), pa.binary()), [(True, b"x")]),
    ("by_big", {"by_big": {BIG: {"seconds": 1}}}, pa.map_(pa.decimal128(20, 0), TIMESTAMP),
     [(Decimal(BIG), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))]),
    ("c_text", {"c_number": 0}, pa.string(), None),
    ("c_number", {"c_number": 0}, pa.int64(), 0),
    ("c_item", {"c_item": {}}, None, {"sku": "", "count": None, "tags": []}),
    ("at", {}, TIMESTAMP, None),
    ("at", {"at": {"seconds": -1, "nanos": 999_999_999}}, TIMESTAMP,
     datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
    ("at", {"at": {"seconds": 253_402_300_799}}, TIMESTAMP,
     datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("ats", {"ats": [{}]}, pa.list_(TIMESTAMP), [datetime(1970, 1, 1, tzinfo=UTC)]),
    ("took", {"took": {"seconds": -1, "nanos": -500_000_000}}, pa.int64(), -1_500_000),
    ("w_int64", {}, pa.int64(), None),
    ("w_int64", {"w_int64": {}}, pa.int64(), 0),
    ("w_uint64", {"w_uint64": {"value": BIG}}, pa.decimal128(20, 0), Decimal(BIG)),
    ("w_uint32", {"w_uint32": {"value": 7}}, pa.int64(), 7),
    ("w_int32", {"w_int32": {"value": 7}}, pa.int32(), 7),
    ("w_string", {"w_string": {}}, pa.string(), ""),
    ("w_bool", {"w_bool": {}}, pa.bool_(), False),
    ("w_bytes", {"w_bytes": {"value": b"x"}}, pa.binary(), b"x"),
    ("w_double", {"w_double": {"value": 0.5}}, pa.float64(), 0.5),
    ("w_float", {"w_float": {"value": 0.5}}, pa.float32(), 0.5),
    ("w_list", {"w_list": [{}, {"value": 2}]}, pa.list_(pa.int64()), [0, 2]),
    ("struct", {"struct": {"b": None, "a": "ü"}},
     pa.string(), '{"a":"ü","b":null}'),
    ("value", {"value": {"bool_value": True}}, pa.string(), "true"),
    ("list", {"list": {"values": [{"string_value": "x"}]}}, pa.string(), '["x"]'),
    ("any", {"any": {"type_url": "type.googleapis.com/shop.Tag", "value": b"\x0a\x01t"}},
     pa.string(), '{"@type":"type.googleapis.com/shop.Tag","name":"t"}'),
    ("any", {"any": {"type_url": "x/not.Known", "value": b"\xff"}},
     pa.string(), '{"@type":"x/not.Known","value":"/w=="}'),
    ("mask", {"mask": {"paths": ["a.b", "c"]}}, pa.string(), '"a.b,c"'),
    ("empty", {"empty": {}}, pa.string(), "{}"),
    ("empty", {}, pa.string(), None),
    ("day", {"day": {"year": 2024, "month": 2, "day": 29}}, pa.date32(), date(2024, 2, 29)),
    ("price", {"price": {"value": "-12.50"}}, pa.string(), "-12.50"),
    ("price", {"price": {}}, pa.string(), "0"),
    ("money", {"money": {"currency_code": "EUR", "units": 3}}, None,
     {"currency_code": "EUR", "units": 3, "nanos": 0}),
    ("exact", {"exact": {"value": b"\xfb\x1e", "scale": 2}}, pa.string(), "-12.50"),
    ("exact", {"exact": {"value": b"\x01", "scale": -3}}, pa.string(), "1000"),
    ("tree", {"tree": {"name": "r", "branches": [{"name": "l", "branches": [{}]}]}},
     pa.struct({"name": pa.string(), "branches": pa.list_(pa.string())}),
     {"name": "r", "branches": ['{"branches":[{}],"name":"l"}']}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "written", "kind", "read"), MAPPING)
def test_the_mapping_value_by_value(
    everything: DescribedProtobuf,
    name: str,
    written: dict[str, Any],
    kind: pa.DataType | None,
    read: object,
) -> None:
    found = everything.decode(pa.array([All(**written).SerializeToString()], pa.binary()))
    assert found[name].to_pylist() == [read]
    if kind is not None:
        assert str(found.schema.field(name).type).replace("element", "item") == str(kind)
    found.validate(full=True)


def test_not_a_number_is_kept(everything: DescribedProtobuf) -> None:
    found = everything.decode(pa.array([All(f_double=math.nan).SerializeToString()]))
    assert math.isnan(found["f_double"][0].as_py())


@pytest.mark.parametrize(
    ("name", "kind", "written", "read"),
    [
        ("f_int32", pa.int64(), {"f_int32": -1}, -1),
        ("f_int32", pa.float64(), {"f_int32": -1}, -1.0),
        ("f_int32", pa.decimal128(38, 2), {"f_int32": -1}, Decimal("-1.00")),
        ("f_uint64", pa.int64(), {"f_uint64": 5}, 5),
        ("f_float", pa.float64(), {"f_float": 0.5}, 0.5),
        ("kind", pa.int32(), {"kind": 77}, 77),
        ("kinds", pa.list_(pa.int64()), {"kinds": [1]}, [1]),
        ("price", pa.decimal128(10, 2), {"price": {"value": "1.5"}}, Decimal("1.50")),
        ("exact", pa.decimal128(10, 2), {"exact": {"value": b"\x0f", "scale": 1}}, Decimal("1.50")),
        ("any", pa.binary(), {"any": {"type_url": "t"}}, b"\x0a\x01t"),
        ("item", pa.string(), {"item": {"sku": "a"}}, '{"sku":"a"}'),
        ("item", pa.struct({"tags": pa.list_(pa.struct({"weight": pa.int64()}))}),
         {"item": {"sku": "a", "tags": [{"name": "n", "weight": 1}]}}, {"tags": [{"weight": 1}]}),
        ("item", pa.struct({"sku": pa.string(), "gone": pa.date32()}),
         {"item": {"sku": "a"}}, {"sku": "a", "gone": None}),
        ("tree", pa.struct({"branches": pa.list_(pa.struct({"name": pa.string()}))}),
         {"tree": {"branches": [{"name": "x"}]}}, {"branches": [{"name": "x"}]}),
        ("f_string", TIMESTAMP, {"f_string": "2026-01-01T00:00:00Z"},
         datetime(2026, 1, 1, tzinfo=UTC)),
        ("not_in_the_schema", pa.int64(), {}, None),
    ],
)  # fmt: skip
def test_declared_columns_hold_the_fields_values(
    name: str, kind: pa.DataType, written: dict[str, Any], read: object
) -> None:
    found = narrow({name: kind}).decode(pa.array([All(**written).SerializeToString()]))
    assert found.schema.field(name).type == kind
    assert found[name].to_pylist() == [read]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("f_double", pa.int64()), ("f_double", pa.float32()), ("f_string", pa.int64()),
        ("f_bool", pa.int64()), ("at", pa.int64()), ("item", pa.int64()), ("items", pa.string()),
        ("by_name", pa.struct({"a": pa.int64()})), ("numbers", pa.list_(pa.date32())),
        ("item", pa.struct({"sku": pa.date32(), "count": pa.bool_()})),
    ],
)  # fmt: skip
def test_columns_that_could_change_a_meaning_are_refused(name: str, kind: pa.DataType) -> None:
    with pytest.raises(ConfigError, match=name):
        narrow({name: kind})


GOOD = All(f_int32=1).SerializeToString()


@pytest.mark.parametrize(
    ("value", "wanted", "reason"),
    [
        (All(f_string="hello").SerializeToString()[:-1], {"f_string": pa.string()},
         "no message shop.All: unexpected EOF"),
        (b"\xff\xff\xff", {"f_string": pa.string()}, "no message shop.All: "),
        (b"\x72\x01\xff", {"f_string": pa.string()}, "invalid UTF-8"),
        (All(at={"seconds": 2**62}).SerializeToString(), {"at": TIMESTAMP},
         "the field 'at' is no time between the years 1 and 9999"),
        (All(at={"nanos": -1}).SerializeToString(), {"at": TIMESTAMP}, "the field 'at' is no time"),
        (All(ats=[{}, {"nanos": 10**9}]).SerializeToString(), {"ats": pa.list_(TIMESTAMP)},
         "the field 'ats[]' is no time"),
        (All(took={"seconds": 2**62}).SerializeToString(), {"took": pa.int64()}, "no duration"),
        (All(day={"year": 2024}).SerializeToString(), {"day": pa.date32()},
         "the field 'day' is no whole date: '2024-00-00'"),
        (All(price={"value": "1.255"}).SerializeToString(), {"price": pa.decimal128(5, 2)},
         "the field 'price' is no exact decimal128(5, 2): '1.255'"),
        (All(f_uint64=BIG).SerializeToString(), {"f_uint64": pa.int64()}, "does not fit int64"),
        (All(value={"number_value": math.nan}).SerializeToString(), {"value": pa.string()},
         "the field 'value' cannot be JSON text"),
    ],
)  # fmt: skip
def test_poison_is_told_with_its_reason(
    value: bytes, wanted: dict[str, pa.DataType], reason: str
) -> None:
    decoded = decode([GOOD, value, GOOD], narrow(wanted))
    assert decoded.kept.to_pylist() == [0, 2]
    assert [reason in poison.reason for poison in decoded.poison] == [True]


def test_a_required_column_that_is_absent_is_poison() -> None:
    wanted = pa.schema([pa.field("o_int32", pa.int32(), nullable=False)])
    decoder = DescribedProtobuf(FILES, "shop.All", wanted)
    decoded = decode([All(o_int32=0).SerializeToString(), GOOD], decoder)
    assert decoded.kept.to_pylist() == [0]
    assert decoded.poison[0].reason == "the field 'o_int32' is missing or null"


def test_the_last_of_a_oneof_and_of_a_key_counts(everything: DescribedProtobuf) -> None:
    """As when one message is written after another, which protobuf merges."""
    first = All(c_text="x", by_number={1: 1, 2: 1}).SerializeToString()
    last = All(c_number=3, by_number={1: 2}).SerializeToString()
    found = everything.decode(pa.array([GOOD, first + last, GOOD], pa.binary()))
    assert found["c_text"].to_pylist() == [None, None, None]
    assert found["c_number"].to_pylist() == [None, 3, None]
    assert dict(found["by_number"][1].as_py()) == {1: "REFUND", 2: "SALE"}
    assert found["f_int32"].to_pylist() == [1, 0, 1]


def test_a_group_is_refused_where_it_would_be_read_and_only_there() -> None:
    files = protos.compiled(
        'syntax = "proto2"; package old; message G { optional int32 a = 1 [default = 7]; '
        "optional group Grp = 4 { optional int32 q = 2; } required string r = 5; }"
    )
    with pytest.raises(ConfigError, match="group"):
        DescribedProtobuf(files, "", None)
    decoder = DescribedProtobuf(files, "", pa.schema({"a": pa.int32(), "r": pa.string()}))
    written = protos.classes(files)("old.G")(r="x", grp={"q": 1})
    assert decoder.decode(pa.array([written.SerializeToString()])).to_pylist() == [
        {"a": None, "r": "x"}
    ]


def test_a_descriptor_file_gives_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "shop.desc"
    path.write_bytes(FILES.SerializeToString())
    told = tables.Decoder(format=tables.Format.PROTOBUF, descriptor=str(path), message="shop.Tag")
    table = tables.Table(name="t", topic="t", environment="e", owner="o", path="p", decoder=told)
    decoder = decoders.open_decoder(table)
    assert decoder.schema == pa.schema({"name": pa.string(), "weight": pa.decimal128(20, 0)})
    assert decoder.decode(pa.array([b""], pa.binary())).num_rows == 1
    assert decoder.decode(pa.array([], pa.binary())).num_rows == 0


@pytest.mark.parametrize(
    ("content", "message", "said"),
    [
        (None, "", "there is no file"),
        (b"nonsense", "", "is no descriptor file"),
        (b"", "", "is no descriptor file"),
        (FILES.SerializeToString(), "shop.Nothing", "no message 'shop.Nothing'"),
        (FILES.file[-1].SerializeToString(), "", "is no descriptor file"),
    ],
)
def test_a_descriptor_file_that_is_none_is_told(
    tmp_path: Path, content: bytes | None, message: str, said: str
) -> None:
    path = tmp_path / "x.desc"
    if content is not None:
        path.write_bytes(content)
    told = tables.Decoder(format=tables.Format.PROTOBUF, descriptor=str(path), message=message)
    table = tables.Table(name="t", topic="t", environment="e", owner="o", path="p", decoder=told)
    with pytest.raises(ConfigError, match=said):
        decoders.open_decoder(table)


def test_much_poison_in_a_large_batch_is_found_and_nothing_else() -> None:
    decoder = narrow({"f_int32": pa.int32(), "f_string": pa.string()})
    good = [All(f_int32=n, f_string="text").SerializeToString() for n in range(5000)]
    bad = {0, 1, 2500, 2501, 4999}
    decoded = decode([v[:-1] if n in bad else v for n, v in enumerate(good)], decoder)
    assert {p.index for p in decoded.poison} == bad
    assert decoded.kept.to_pylist() == [n for n in range(5000) if n not in bad]
    assert decoded.columns["f_int32"].to_pylist() == decoded.kept.to_pylist()


def test_a_value_nested_without_end_ends_nothing() -> None:
    """A process that such a record ends would be ended by it again at every start."""
    decoder = narrow({"f_int32": pa.int32(), "tree": pa.string()})
    deep = b"\x0b" * 1_000_000
    tree = b""
    for _ in range(300):
        tree = nested(tree)
    values = [GOOD, deep, deep + b"\x0c" * len(deep), nested(tree, number=95), GOOD]
    decoded = decode(values, decoder)
    assert decoded.kept.to_pylist() == [0, 4]
    assert "nested too deep" in decoded.poison[0].reason


def nested(inner: bytes, number: int = 2) -> bytes:
    return varint(number << 3 | 2) + varint(len(inner)) + inner


def varint(number: int) -> bytes:
    head = bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
    return head + (varint(number >> 7) if number > 0x7F else b"")


def test_a_record_of_ten_megabytes_is_a_row() -> None:
    large = All(f_string="x" * 10_000_000).SerializeToString()
    decoded = decode([GOOD, large, large[:-1]], narrow({"f_string": pa.string()}))
    assert decoded.kept.to_pylist() == [0, 1]
    assert len(decoded.columns["f_string"][1].as_py()) == 10_000_000
