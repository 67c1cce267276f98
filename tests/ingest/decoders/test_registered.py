"""Protobuf and Avro by a real registry: evolution by id, references, several messages, bad frames."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import httpx
import psutil
import pyarrow as pa
import pytest
from tests.ingest.decoders import protos

from penstock.errors import ConfigError, NotFound, NotReady
from penstock.ingest import decoders
from penstock.model import tables
from penstock.runtime import registry as registries

pytestmark = pytest.mark.real

Register = Callable[..., int]


@pytest.fixture
def subject() -> str:
    return f"s-{uuid.uuid4().hex[:12]}"


def opened(
    registry: str,
    subject: str,
    form: tables.Format = tables.Format.PROTOBUF,
    message: str = "",
    **columns: str,
) -> decoders.Decoder:
    return decoders.open_decoder(
        tables.Table(
            name="t",
            topic="t",
            environment="e",
            owner="o",
            path="p",
            columns=tuple(tables.Column(name=n, type=kind) for n, kind in columns.items()),
            decoder=tables.Decoder(
                format=form, registry=registry, subject=subject, message=message
            ),
        )
    )


def framed(number: int, payload: bytes, indexes: bytes = b"\x00") -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + indexes + payload


def decode(decoder: decoders.Decoder, *values: bytes | None) -> decoders.Decoded:
    return decoders.decode(pa.array(values, pa.binary()), decoder, refused={})


FIRST = 'syntax = "proto3"; package p; message Order { int32 id = 1; string note = 2; }'
NEXT = (
    'syntax = "proto3"; package p; import "dir/tag.proto"; import "google/protobuf/timestamp.proto";'
    "message Order { int32 id = 1; string note = 2; other.Tag tag = 3;"
    " google.protobuf.Timestamp at = 4; message Line { int64 n = 1; } repeated Line lines = 5; }"
    "message Other { string x = 1; }"
)
TAG = 'syntax = "proto3"; package other; message Tag { string name = 1; }'


@pytest.fixture
def evolved(register: Register, subject: str) -> tuple[int, int, Any]:
    """Register two schemas of a subject, the second with a reference; give ids and classes."""
    register(f"{subject}-tag", TAG, "PROTOBUF")
    first = register(subject, FIRST, "PROTOBUF")
    following = register(subject, NEXT, "PROTOBUF", (("dir/tag.proto", f"{subject}-tag"),))
    text = NEXT.replace('import "dir/tag.proto";', "").replace("other.Tag", "Tag")
    classes = protos.classes(protos.compiled(text + "message Tag { string name = 1; }"))
    return first, following, classes


def test_each_record_is_read_by_the_schema_it_names(
    registry: str, subject: str, evolved: tuple[int, int, Any]
) -> None:
    first, following, classes = evolved
    order = classes("p.Order")
    decoder = opened(registry, subject)
    assert decoder.schema.names == ["id", "note", "tag", "at", "lines"]
    old = order(id=1, note="old").SerializeToString()
    new = order(id=2, tag={"name": "x"}, lines=[{"n": 5}]).SerializeToString()
    decoded = decode(decoder, framed(following, new), framed(first, old), framed(following, new))
    assert decoded.kept.to_pylist() == [0, 1, 2]
    assert decoded.columns["id"].to_pylist() == [2, 1, 2]
    assert decoded.columns["note"].to_pylist() == ["", "old", ""]
    assert decoded.columns["tag"].to_pylist() == [{"name": "x"}, None, {"name": "x"}]
    assert decoded.columns["lines"].to_pylist() == [[{"n": 5}], None, [{"n": 5}]]


def test_of_several_messages_the_named_one_is_read(
    registry: str, subject: str, evolved: tuple[int, int, Any]
) -> None:
    _, number, classes = evolved
    order = framed(number, classes("p.Order")(id=1).SerializeToString())
    line = framed(number, classes("p.Order.Line")(n=7).SerializeToString(), b"\x04\x00\x00")
    other = framed(number, classes("p.Other")(x="y").SerializeToString(), b"\x02\x02")
    decoded = decode(opened(registry, subject, message="p.Order.Line"), order, line, other)
    assert decoded.columns.to_pylist() == [{"n": 7}]
    assert [p.reason for p in decoded.poison] == [
        "a message p.Order, and the table is of p.Order.Line",
        "a message p.Other, and the table is of p.Order.Line",
    ]
    decoded = decode(opened(registry, subject, id="long"), order, other)
    assert decoded.columns.to_pylist() == [{"id": 1}]
    assert "name the one to read: decoder.message" in decoded.poison[0].reason


def test_every_kind_of_bad_frame_is_told(
    registry: str, subject: str, register: Register, evolved: tuple[int, int, Any]
) -> None:
    _, number, classes = evolved
    good = framed(number, classes("p.Order")(id=1).SerializeToString())
    truncated = framed(number, classes("p.Order")(note="hello").SerializeToString()[:-1])
    avro = register(f"{subject}-avro", json.dumps(PURCHASE), "AVRO")
    other = register(f"{subject}-x", 'syntax = "proto3"; message O { bool id = 1; }', "PROTOBUF")
    bad = {
        b"": "an empty value",
        b"\x01" + good[1:]: "it begins with byte 0x01",
        b'{"id": 1}': "it begins with byte 0x7b",
        good[:4]: "it ends before the id",
        good[:5]: "it ends before the id",
        framed(999_999, b""): "schema id 999999 is not in the registry",
        framed(number, b"", b"\x02\x14"): "has no message [10]",
        framed(number, b"", b"\xff\xff"): "its message indexes cannot be read",
        framed(avro, b""): "is AVRO, not protobuf",
        framed(other, b""): "does not go with the table's columns: id: bool is not int64",
        truncated: "no message p.Order: unexpected EOF",
    }
    decoder = opened(registry, subject, id="long", note="string")
    decoded = decode(decoder, good, *bad, None, good)
    assert decoded.kept.to_pylist() == [0, len(bad) + 2]
    assert decoded.columns["id"].to_pylist() == [1, 1]
    for poison, reason in zip(decoded.poison, [*bad.values(), "tombstone"], strict=True):
        assert reason in poison.reason


def test_a_subject_that_is_not_there_or_of_another_kind_is_told(
    registry: str, subject: str, register: Register
) -> None:
    with pytest.raises(NotFound, match=subject):
        opened(registry, subject)
    register(subject, json.dumps(PURCHASE), "AVRO")
    with pytest.raises(ConfigError, match="is AVRO"):
        opened(registry, subject)
    with pytest.raises(ConfigError, match="not as a schema registry does"):
        opened(registry.replace("/apis/ccompat/v7", ""), subject)


PURCHASE = {
    "type": "record",
    "name": "Purchase",
    "fields": [{"name": "id", "type": "int"}, {"name": "buyer", "type": "string"}],
}
LATER = {
    "type": "record",
    "name": "Purchase",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": "string", "aliases": ["buyer"]},
        {"name": "currency", "type": "string", "default": "EUR"},
        {"name": "place", "type": ["null", "Place"], "default": None},
    ],
}
PLACE = {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}


def avro(schema: dict[str, Any], *named: dict[str, Any], **record: Any) -> bytes:
    names: dict[str, Any] = {}
    for each in named:
        fastavro.parse_schema(each, names)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, names), record)
    return stream.getvalue()


def test_avro_is_resolved_to_the_newest_schema(
    registry: str, subject: str, register: Register
) -> None:
    register(f"{subject}-place", json.dumps(PLACE), "AVRO")
    first = register(subject, json.dumps(PURCHASE), "AVRO")
    later = register(subject, json.dumps(LATER), "AVRO", (("Place", f"{subject}-place"),))
    old = framed(first, avro(PURCHASE, id=1, buyer="ann"), b"")
    new = framed(
        later,
        avro(LATER, PLACE, id=2**40, customer="bob", currency="USD", place={"city": "x"}),
        b"",
    )
    values = [
        old,
        new,
        new + b"!",
        new[:-1],
        framed(999_999, b"", b""),
        b"",
        new[:3],
        b"\x02" + old,
    ]
    decoded = decode(opened(registry, subject, tables.Format.AVRO), *values)
    assert decoded.columns.to_pylist() == [
        {"id": 1, "customer": "ann", "currency": "EUR", "place": None},
        {"id": 2**40, "customer": "bob", "currency": "USD", "place": {"city": "x"}},
    ]
    for poison, reason in zip(
        decoded.poison,
        ["1 bytes are left over", "not Avro of its schema", "schema id 999999", "an empty value",
         "ends before the id", "begins with byte 0x02"],
        strict=True,
    ):  # fmt: skip
        assert reason in poison.reason
    kept = decode(opened(registry, subject, tables.Format.AVRO, buyer="string", id="long"), old)
    assert kept.columns.to_pylist() == [{"buyer": "ann", "id": 1}]


def test_the_registry_listens_to_this_machine_and_keeps_old_readers_data_readable(
    running_registry: list[registries.Running], subject: str, register: Register
) -> None:
    process = psutil.Process(running_registry[0].pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 2
    assert all(address.endswith("127.0.0.1") for address in listening)
    register(subject, FIRST, "PROTOBUF")
    changed = {"schema": FIRST.replace("int32", "bytes"), "schemaType": "PROTOBUF"}
    url = f"{running_registry[0].url}/subjects/{subject}/versions"
    assert httpx.post(url, json=changed, timeout=30).status_code == 409


def test_while_the_registry_is_dead_known_ids_go_on_and_new_ones_wait(
    running_registry: list[registries.Running],
    registry_home: Path,
    subject: str,
    evolved: tuple[int, int, Any],
) -> None:
    first, following, classes = evolved
    payload = classes("p.Order")(id=1).SerializeToString()
    decoder = opened(running_registry[0].url, subject, id="long")
    assert len(decode(decoder, framed(first, payload)).kept) == 1
    running_registry[0].kill()
    try:
        assert len(decode(decoder, framed(first, payload)).kept) == 1
        with pytest.raises(NotReady, match="does not answer"):
            decode(decoder, framed(first, payload), framed(following, payload), b"")
    finally:
        running_registry[0] = registries.start(registry_home)
    decoded = decode(decoder, framed(first, payload), framed(following, payload), b"")
    assert decoded.columns.to_pylist() == [{"id": 1}, {"id": 1}]
