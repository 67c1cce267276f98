"""Any message of any schema, written by protobuf's own library, is read with the same values."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ingest.decoders.protobuf import Reader

pytestmark = pytest.mark.unit

P = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    P.TYPE_DOUBLE: st.floats(),
    P.TYPE_FLOAT: st.floats(width=32),
    P.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    P.TYPE_UINT64: st.integers(0, 2**64 - 1),
    P.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    P.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    P.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    P.TYPE_BOOL: st.booleans(),
    P.TYPE_STRING: st.text(max_size=5),
    P.TYPE_BYTES: st.binary(max_size=5),
    P.TYPE_UINT32: st.integers(0, 2**32 - 1),
    P.TYPE_SFIXED32: st.integers(-(2**31), 2**31 - 1),
    P.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    P.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    P.TYPE_SINT64: st.integers(-(2**63), 2**63 - 1),
    P.TYPE_ENUM: st.integers(-1, 5),
}
KEYS = [P.TYPE_INT32, P.TYPE_UINT64, P.TYPE_BOOL, P.TYPE_STRING, P.TYPE_SINT64]
NAMES = {0: "ZERO", 1: "ONE", 2: "TWO"}


@st.composite
def messages(draw: st.DrawFn, name: str, inner: str = "") -> descriptor_pb2.DescriptorProto:
    """Draw a message type; its fields may be of the inner one."""
    made = descriptor_pb2.DescriptorProto(name=name)
    optional = []
    for number in draw(st.lists(st.integers(1, 2000), unique=True, min_size=1, max_size=6)):
        shape = draw(st.sampled_from(["plain", "optional", "repeated", "map", "oneof"]))
        kinds = [*SCALARS, P.TYPE_MESSAGE] if inner else [*SCALARS]
        field = made.field.add(name=f"f{number}", number=number, label=P.LABEL_OPTIONAL)
        typed(field, draw(st.sampled_from(kinds)), inner)
        match shape:
            case "repeated":
                field.label = P.LABEL_REPEATED
            case "map":
                entry = made.nested_type.add(name=f"F{number}Entry")
                entry.options.map_entry = True
                key = entry.field.add(name="key", number=1, label=P.LABEL_OPTIONAL)
                key.type = draw(st.sampled_from(KEYS))
                value = entry.field.add(name="value", number=2, label=P.LABEL_OPTIONAL)
                typed(value, field.type, inner)
                field.type, field.label = P.TYPE_MESSAGE, P.LABEL_REPEATED
                field.type_name = f".g.{name}.{entry.name}"
            case "oneof":
                if not made.oneof_decl:
                    made.oneof_decl.add(name="choice")
                field.oneof_index = 0
            case "optional" if field.type != P.TYPE_MESSAGE:
                field.proto3_optional = True
                optional.append(field)
    for field in optional:
        field.oneof_index = len(made.oneof_decl)
        made.oneof_decl.add(name=f"_{field.name}")
    return made


def typed(field: descriptor_pb2.FieldDescriptorProto, kind: int, inner: str) -> None:
    field.type = kind
    if kind == P.TYPE_ENUM:
        field.type_name = ".g.E"
    elif kind == P.TYPE_MESSAGE:
        field.type_name = f".g.{inner}"


@st.composite
def files(draw: st.DrawFn) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="g.proto", package="g", syntax="proto3")
    enum = file.enum_type.add(name="E")
    for number, name in NAMES.items():
        enum.value.add(name=name, number=number)
    file.message_type.append(draw(messages("C")))
    file.message_type.append(draw(messages("B", "C")))
    file.message_type.append(draw(messages("A", "B")))
    return file


def fill(draw: st.DrawFn, message: Any, descriptor: Descriptor) -> None:
    for field in descriptor.fields:
        if not draw(st.booleans()):
            continue
        target = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            for _ in range(draw(st.integers(0, 2))):
                at = draw(SCALARS[key.type])
                if value.message_type is not None:
                    fill(draw, target[at], value.message_type)
                else:
                    target[at] = draw(SCALARS[value.type])
        elif field.is_repeated:
            for _ in range(draw(st.integers(0, 2))):
                if field.message_type is not None:
                    fill(draw, target.add(), field.message_type)
                else:
                    target.append(draw(SCALARS[field.type]))
        elif field.message_type is not None:
            target.SetInParent()
            fill(draw, target, field.message_type)
        else:
            setattr(message, field.name, draw(SCALARS[field.type]))


def told(message: Any) -> dict[str, Any]:
    """Give the values as protobuf's own library has them, in the types of a table."""
    return {field.name: value_of(message, field) for field in message.DESCRIPTOR.fields}


def value_of(message: Any, field: FieldDescriptor) -> object:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, of = field.message_type.fields
        return {one(each, key): one(value[each], of) for each in value}
    if field.is_repeated:
        return [one(each, field) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return one(value, field)


def one(value: Any, field: FieldDescriptor) -> object:
    if field.message_type is not None:
        return told(value)
    if field.type == P.TYPE_ENUM:
        return NAMES.get(value, str(value))
    if field.type in {P.TYPE_UINT64, P.TYPE_FIXED64}:
        return Decimal(value)
    return comparable(value)


def comparable(value: object) -> object:
    """Give floats by their bits, so that NaN equals itself and 0.0 is not -0.0; maps as such."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack("d", value)
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(each, tuple) for each in value)
        return (
            {key: comparable(each) for key, each in value}
            if pairs
            else [comparable(each) for each in value]
        )
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    return value


def without_empty(value: Any) -> Any:
    """Take an empty map and an empty list for the same: Python has both as []."""
    if isinstance(value, dict):
        return {key: without_empty(each) for key, each in value.items()} or []
    return [without_empty(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=60)
@given(data=st.data())
def test_what_protobuf_writes_is_read_back(data: st.DataObject) -> None:
    file = data.draw(files())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName("g.A")
    made = message_factory.GetMessageClass(descriptor)
    written = []
    for _ in range(3):
        message = made()
        data.draw(st.composite(lambda draw: fill(draw, message, descriptor))())  # noqa: B023
        written.append(message)
    values = pa.array([message.SerializeToString() for message in written], pa.binary())
    found = Reader(descriptor, None).read(values)
    found.validate(full=True)
    assert [without_empty(comparable(row)) for row in found.to_pylist()] == [
        without_empty(told(message)) for message in written
    ]
