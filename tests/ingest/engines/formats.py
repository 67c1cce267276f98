"""One event in every format that a table may be of, and what in that format cannot be a row.

    Event ─encode─▶ a record's value          poison: value ─▶ a part of the reason in its letter

Before the schema evolves a table has ``id``, ``n`` (an integer) and ``note``; after it ``n`` is a
long and there is ``extra``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from penstock.model import tables

LARGE = 10 * 2**20
Value = bytes | None
Register = Callable[..., int]


@dataclass(frozen=True)
class Event:
    """What became of the row ``id``: the larger ``n``, the newer."""

    id: str
    n: int
    note: str = "ö"
    extra: str | None = None
    gone: bool = False


WHOLE = Event("whole", 1)
HUGE = replace(WHOLE, n=2**40)
LONG = replace(WHOLE, note="x" * LARGE)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How events are written for one table."""

    decoder: tables.Decoder
    encode: Callable[[Event], bytes]
    poison: Mapping[Value, str]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a format may need: a directory, a registry and the topic's subject in it."""

    directory: Path
    registry: str
    register: Register
    subject: str


def as_json(ground: Ground) -> Format:
    del ground

    def encode(event: Event) -> bytes:
        told = {name: value for name, value in asdict(event).items() if value is not None}
        return json.dumps(told).encode()

    return Format(
        decoder=tables.Decoder(),
        encode=encode,
        poison={
            None: "tombstone",
            b"null": "not a JSON object",
            b"": "not a JSON object",
            encode(WHOLE)[:-3]: "not a JSON object",
            encode(WHOLE) * 2: "more than one JSON object",
            encode(WHOLE).replace(b'"whole"', b"5"): "'id'",
            encode(WHOLE).replace(b": 1", b': "one"'): "'n'",
            encode(HUGE): "'n'",
            encode(LONG)[:-3]: "not a JSON object",
        },
    )


def as_changes(ground: Ground) -> Format:
    """Write the standard change event of databases; a tombstone is none, and no poison."""
    del ground

    def encode(event: Event) -> bytes:
        row = {k: v for k, v in asdict(event).items() if k not in {"id", "gone"} and v is not None}
        told = {
            "oc": "D" if event.gone else "U",
            "ns": "shop.rows",
            "ot": 1_700_000_000_000 + event.n,
            "sq": event.n,
            "pk": {"id": event.id},
            "va": None if event.gone else row,
        }
        return json.dumps(told).encode()

    whole = encode(WHOLE)
    return Format(
        decoder=tables.Decoder(),
        encode=encode,
        poison={
            b"null": "not a JSON object",
            whole[:-3]: "not a JSON object",
            whole * 2: "more than one JSON object",
            whole.replace(b'"U"', b'"X"'): "oc is 'X'",
            whole.replace(b'{"id": "whole"}', b"{}"): "'id'",
            whole.replace(b'"n": 1', b'"n": "one"'): "n",
            encode(HUGE): "n",
            encode(LONG)[:-3]: "not a JSON object",
        },
    )


def as_described_protobuf(ground: Ground) -> Format:
    file = _proto_file()
    path = ground.directory / "event.desc"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    decoder = tables.Decoder(format=tables.Format.PROTOBUF, descriptor=str(path), message="t.Event")
    encode = _proto_encoder(file)
    return Format(decoder=decoder, encode=encode, poison=_proto_poison(encode))


def as_registered_protobuf(ground: Ground) -> Format:
    """Write frames, those with an ``extra`` by a schema that came later."""
    ids = [
        ground.register(ground.subject, _proto_text(*extra), "PROTOBUF")
        for extra in ((), ("extra",))
    ]
    write = _proto_encoder(_proto_file())

    def encode(event: Event) -> bytes:
        return _framed(ids[event.extra is not None], b"\0" + write(event))

    return Format(
        decoder=tables.Decoder(format=tables.Format.PROTOBUF, registry=ground.registry),
        encode=encode,
        poison={
            **{
                None if value is None else _framed(ids[0], b"\0" + value): reason
                for value, reason in _proto_poison(write).items()
            },
            _framed(2**30, b"\0" + write(WHOLE)): str(2**30),
            b"null": "begins with byte",
            b"": "an empty value",
            b"\0\0\0": "ends before",
        },
    )


def as_avro(ground: Ground) -> Format:
    schemas = [_avro_schema(*extra) for extra in ((), ("extra",))]
    ids = [ground.register(ground.subject, json.dumps(each), "AVRO") for each in schemas]

    def written(event: Event) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, schemas[event.extra is not None], asdict(event))
        return buffer.getvalue()

    def encode(event: Event) -> bytes:
        return _framed(ids[event.extra is not None], written(event))

    return Format(
        decoder=tables.Decoder(format=tables.Format.AVRO, registry=ground.registry),
        encode=encode,
        poison={
            None: "tombstone",
            b"null": "begins with byte",
            b"": "an empty value",
            encode(WHOLE)[:-3]: "not Avro",
            encode(WHOLE) * 2: "left over",
            encode(HUGE): "'n'",
            _framed(2**30, written(WHOLE)): str(2**30),
            encode(LONG)[:-3]: "not Avro",
        },
    )


def as_function(ground: Ground) -> Format:
    del ground

    def encode(event: Event) -> bytes:
        told = [event.id, str(event.n), event.note, *filter(None, [event.extra])]
        return ";".join(told).encode("latin-1")

    return Format(
        decoder=tables.Decoder(
            format=tables.Format.FUNCTION, function="tests.ingest.engines.functions:read"
        ),
        encode=encode,
        poison={
            None: "tombstone",
            b"null": "not id;n",
            b"": "not id;n",
            b"id;one;": "not id;n",
            encode(HUGE): "'n'",
            b"x" * LARGE: "not id;n",
        },
    )


def _proto_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="Event")
    kinds = {"id": "STRING", "n": "INT64", "note": "STRING", "extra": "STRING"}
    for number, (name, kind) in enumerate(kinds.items(), start=1):
        message.field.add(name=name, number=number, type=f"TYPE_{kind}", label="LABEL_OPTIONAL")
    extra = message.field[-1]
    extra.proto3_optional = True
    extra.oneof_index = 0
    message.oneof_decl.add(name="_extra")
    return file


def _proto_text(*extra: str) -> str:
    more = "".join(f" optional string {name} = {n};" for n, name in enumerate(extra, start=4))
    fields = f"string id = 1; int64 n = 2; string note = 3;{more}"
    return f'syntax = "proto3"; package t; message Event {{ {fields} }}'


def _proto_encoder(file: descriptor_pb2.FileDescriptorProto) -> Callable[[Event], bytes]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))

    def encode(event: Event) -> bytes:
        written: bytes = message(
            id=event.id, n=event.n, note=event.note, extra=event.extra
        ).SerializeToString()
        return written

    return encode


def _proto_poison(encode: Callable[[Event], bytes]) -> dict[Value, str]:
    no_message = "no message t.Event"
    return {
        None: "tombstone",
        b"null": no_message,
        encode(WHOLE)[:-1]: no_message,
        b"\x0a\x01\xff": no_message,  # a text that is none
        encode(HUGE): "'n'",
        encode(LONG)[:-1]: no_message,
    }


def _avro_schema(*extra: str) -> dict[str, Any]:
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string"},
        {"name": "n", "type": "long"},
        {"name": "note", "type": "string"},
        *({"name": name, "type": ["null", "string"], "default": None} for name in extra),
    ]
    return {"type": "record", "name": "Event", "fields": fields}


def _framed(number: int, payload: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + payload
