"""Messages that everybody knows, as the values they stand for.

    Timestamp ─▶ timestamp     Duration ─▶ long, microseconds     google.type.Date ─▶ date
    Int64Value, … ─▶ long, …, null where absent      google.type.Decimal ─▶ text, or a decimal
    Struct, Value, ListValue, Any, FieldMask ─▶ JSON text, as protobuf's own JSON has it

Never wraps around: a time that no calendar has is poison.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
from google.protobuf import any_pb2, descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from pyarrow import compute

from penstock.ingest.decoders.arrays import BadEntries, Convert, Reason, attempt

__all__ = ["KNOWN", "Known", "json_text"]

_Proto = descriptor_pb2.FieldDescriptorProto
_US = 1_000_000
_NS_IN_US = 1_000
_NS = 1_000_000_000
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
_LONGEST_S = 315_576_000_000
_MAX_DIGITS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A message that is one value.

    Attributes:
        fields: the fields that are read, by name, numbered from 1; each one's type on the wire.
        have: the Arrow type of the value.
        convert: makes it from the struct.
    """

    fields: Mapping[str, _Proto.Type.ValueType]
    have: pa.DataType
    convert: Convert


def json_text(descriptor: Descriptor) -> Callable[[bytes], str]:
    """Return what makes JSON text of a message's bytes; fields keep the names they have."""
    made = message_factory.GetMessageClass(descriptor)
    pool = descriptor.file.pool

    def text(value: bytes) -> str:
        try:
            message = made.FromString(value)
            found = json_format.MessageToDict(
                message, preserving_proto_field_name=True, descriptor_pool=pool
            )
        except DecodeError as error:
            raise ValueError(str(error)) from error
        except (json_format.Error, TypeError) as error:
            if descriptor.full_name != any_pb2.Any.DESCRIPTOR.full_name:
                raise ValueError(str(error)) from error
            found = _unknown_any(value)
        return json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    return text


def _unknown_any(value: bytes) -> dict[str, str]:
    """Return a message whose type nobody here knows, by the name of its type and its bytes."""
    message = any_pb2.Any.FromString(value)
    return {"@type": message.type_url, "value": base64.b64encode(message.value).decode()}


def _children(array: pa.StructArray) -> list[pa.Array]:
    """Return the fields, null where the message is absent."""
    return list(array.flatten())


def _only(array: pa.StructArray) -> pa.Array:
    return _children(array)[0]


def _refuse(wrong: pa.Array, text: str) -> None:
    if compute.any(wrong).as_py():
        at = compute.indices_nonzero(compute.fill_null(wrong, fill_value=False)).to_pylist()
        raise BadEntries(dict.fromkeys(at, Reason(text=text)))


def _microseconds(seconds: pa.Array, nanos: pa.Array) -> pa.Array:
    # Divided towards zero, as nanos of a duration have the sign of its seconds.
    return compute.add(
        compute.multiply(seconds, _US), compute.divide(nanos.cast("int64"), _NS_IN_US)
    )


def _timestamp(array: pa.StructArray) -> pa.Array:
    seconds, nanos = _children(array)
    inside = compute.and_(
        compute.and_(
            compute.greater_equal(seconds, _FIRST_SECOND), compute.less_equal(seconds, _LAST_SECOND)
        ),
        compute.and_(compute.greater_equal(nanos, 0), compute.less(nanos, _NS)),
    )
    _refuse(compute.invert(inside), "is no time between the years 1 and 9999")
    return _microseconds(seconds, nanos).cast(pa.timestamp("us", tz="UTC"))


def _duration(array: pa.StructArray) -> pa.Array:
    seconds, nanos = _children(array)
    inside = compute.and_(
        compute.less_equal(compute.abs(seconds), _LONGEST_S), compute.less(compute.abs(nanos), _NS)
    )
    _refuse(compute.invert(inside), "is no duration of less than 10000 years")
    return _microseconds(seconds, nanos)


def _date(array: pa.StructArray) -> pa.Array:
    year, month, day = (each.cast(pa.string()) for each in _children(array))
    texts = compute.binary_join_element_wise(
        compute.utf8_lpad(year, 4, padding="0"),
        compute.utf8_lpad(month, 2, padding="0"),
        compute.utf8_lpad(day, 2, padding="0"),
        "-",
    )
    return _whole_date(texts)


_whole_date = attempt(lambda texts: texts.cast(pa.date32()), "is no whole date")


def _decimal_text(array: pa.StructArray) -> pa.Array:
    texts = _only(array)
    return compute.if_else(compute.equal(texts, ""), "0", texts)


def _confluent_decimal(array: pa.StructArray) -> pa.Array:
    """Return the text of a whole number in two's complement, and how many digits are a fraction."""
    unscaled, _, scales = (each.to_pylist() for each in _children(array))
    made: list[str | None] = []
    bad = {}
    for index, (value, scale) in enumerate(zip(unscaled, scales, strict=True)):
        if value is not None and abs(scale) > _MAX_DIGITS:
            bad[index] = Reason(text=f"has a scale of {scale}")
        elif value is None:
            made.append(None)
        else:
            number = int.from_bytes(value, "big", signed=True)
            digits = tuple(map(int, str(abs(number))))
            made.append(f"{Decimal((int(number < 0), digits, -scale)):f}")
    if bad:
        raise BadEntries(bad)
    return pa.array(made, pa.string())


def _wrapper(kind: _Proto.Type.ValueType, have: pa.DataType) -> Known:
    return Known(fields={"value": kind}, have=have, convert=_only)


_INSTANT = {"seconds": _Proto.TYPE_INT64, "nanos": _Proto.TYPE_INT32}

KNOWN: Mapping[str, Known] = {
    "google.protobuf.Timestamp": Known(
        fields=_INSTANT, have=pa.timestamp("us", tz="UTC"), convert=_timestamp
    ),
    "google.protobuf.Duration": Known(fields=_INSTANT, have=pa.int64(), convert=_duration),
    "google.protobuf.DoubleValue": _wrapper(_Proto.TYPE_DOUBLE, pa.float64()),
    "google.protobuf.FloatValue": _wrapper(_Proto.TYPE_FLOAT, pa.float32()),
    "google.protobuf.Int64Value": _wrapper(_Proto.TYPE_INT64, pa.int64()),
    "google.protobuf.UInt64Value": _wrapper(_Proto.TYPE_UINT64, pa.uint64()),
    "google.protobuf.Int32Value": _wrapper(_Proto.TYPE_INT32, pa.int32()),
    "google.protobuf.UInt32Value": _wrapper(_Proto.TYPE_UINT32, pa.uint32()),
    "google.protobuf.BoolValue": _wrapper(_Proto.TYPE_BOOL, pa.bool_()),
    "google.protobuf.StringValue": _wrapper(_Proto.TYPE_STRING, pa.string()),
    "google.protobuf.BytesValue": _wrapper(_Proto.TYPE_BYTES, pa.binary()),
    "google.type.Date": Known(
        fields=dict.fromkeys(["year", "month", "day"], _Proto.TYPE_INT32),
        have=pa.date32(),
        convert=_date,
    ),
    "google.type.Decimal": Known(
        fields={"value": _Proto.TYPE_STRING}, have=pa.string(), convert=_decimal_text
    ),
    "confluent.type.Decimal": Known(
        fields={
            "value": _Proto.TYPE_BYTES,
            "precision": _Proto.TYPE_UINT32,
            "scale": _Proto.TYPE_INT32,
        },
        have=pa.string(),
        convert=_confluent_decimal,
    ),
}
