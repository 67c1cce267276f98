"""Avro types as columns: what fastavro gives of a type, and what is made of it.

    schema ─plain─▶ the same without logical types: fastavro gives numbers and bytes, and no dates
           └shape─▶ Shape: Arrow type of those ─Convert─▶ the table's type

So times are made in Arrow, exactly and within the calendar, rather than one by one in Python. The
mapping, type by type, is docs/reference/decoders.md; a test holds each line of it.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import compute

from penstock.ingest.decoders import arrays
from penstock.ingest.decoders.arrays import Convert, Part, attempt, reject

__all__ = ["Shape", "is_endless", "plain", "shape"]

Names: TypeAlias = Mapping[str, Any]

_PRIMITIVES: Mapping[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_NUMBERS = ("int", "long", "float", "double")
_MAX_DIGITS = 38
_FIRST_US = -62_135_596_800_000_000
_LAST_US = 253_402_300_799_999_999
_NS_IN_US = 1_000
_MS_TO_US = 1_000
_TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a type is read.

    Attributes:
        given: the Arrow type of fastavro's values, after ``prepare``.
        made: the Arrow type after ``convert``.
        prepare: makes one value of fastavro's what Arrow takes; None where it is.
    """

    given: pa.DataType
    made: pa.DataType
    convert: Convert | None = None
    prepare: Callable[[Any], Any] | None = None


def plain(schema: Any) -> Any:
    """Return the schema without its logical types."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if isinstance(schema, dict):
        return {name: plain(each) for name, each in schema.items() if name != "logicalType"}
    return schema


def is_endless(schema: Any, names: Names, *, above: tuple[str, ...] = ()) -> bool:
    """Tell whether a type is inside itself, so that a value of it may be nested without end."""
    if isinstance(schema, list):
        return any(is_endless(each, names, above=above) for each in schema)
    if isinstance(schema, str):
        return schema not in _PRIMITIVES and (
            schema in above or is_endless(names[schema], names, above=above)
        )
    inside = (*above, schema["name"]) if "fields" in schema else above
    below = [schema[key] for key in ("items", "values") if key in schema]
    below += [each["type"] for each in schema.get("fields", ())]
    return any(is_endless(each, names, above=inside) for each in below)


def shape(schema: Any, names: Names, *, above: tuple[str, ...] = ()) -> Shape:
    """Return how a parsed schema is read.

    Args:
        schema: as `fastavro.parse_schema` returns it.
        names: the named types, by full name.
        above: names of the records around it.
    """
    if isinstance(schema, list):
        return _union(schema, names, above)
    if isinstance(schema, str):
        return _named(schema, names, above)
    logical = _LOGICAL.get(str(schema.get("logicalType", "")))
    if logical is not None and (found := logical(schema)) is not None:
        return found
    return _by_type(schema, names, above)


def _named(name: str, names: Names, above: tuple[str, ...]) -> Shape:
    if name in _PRIMITIVES:
        return Shape(given=_PRIMITIVES[name], made=_PRIMITIVES[name])
    return _json() if name in above else shape(names[name], names, above=above)


def _by_type(schema: Any, names: Names, above: tuple[str, ...]) -> Shape:
    match schema["type"]:
        case "record" | "error":
            return _record(schema, names, above)
        case "enum":
            return Shape(given=pa.string(), made=pa.string())
        case "fixed":
            return Shape(given=pa.binary(), made=pa.binary())
        case "array":
            return _array(shape(schema["items"], names, above=above))
        case "map":
            return _map(shape(schema["values"], names, above=above))
        case inner:
            return shape(inner, names, above=above)


def _record(schema: Any, names: Names, above: tuple[str, ...]) -> Shape:
    if schema["name"] in above or not schema["fields"]:
        return _json()
    inside = (*above, schema["name"])
    fields = {each["name"]: shape(each["type"], names, above=inside) for each in schema["fields"]}
    prepares = {name: each.prepare for name, each in fields.items() if each.prepare}

    def prepare(value: Any) -> Any:
        return value | {name: _prepared(each, value[name]) for name, each in prepares.items()}

    parts = [
        Part(field=pa.field(name, each.made), convert=each.convert, source=name)
        for name, each in fields.items()
    ]
    return Shape(
        given=pa.struct([pa.field(name, each.given) for name, each in fields.items()]),
        made=pa.struct([part.field for part in parts]),
        convert=arrays.fields(parts),
        prepare=prepare if prepares else None,
    )


def _array(element: Shape) -> Shape:
    made = pa.list_(pa.field("element", element.made))
    each = element.prepare
    return Shape(
        given=pa.list_(pa.field("element", element.given)),
        made=made,
        convert=arrays.elements(element.convert, made),
        prepare=(lambda value: [_prepared(each, item) for item in value]) if each else None,
    )


def _map(value: Shape) -> Shape:
    made = pa.map_(pa.string(), value.made)
    each = value.prepare
    return Shape(
        given=pa.map_(pa.string(), value.given),
        made=made,
        convert=arrays.entries(None, value.convert, made),
        prepare=(lambda found: {key: _prepared(each, item) for key, item in found.items()})
        if each
        else None,
    )


def _prepared(prepare: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else prepare(value)


def _union(branches: list[Any], names: Names, above: tuple[str, ...]) -> Shape:
    present = [branch for branch in branches if branch != "null"]
    if not present:
        return Shape(given=pa.null(), made=pa.null())
    if len(present) == 1:
        return shape(present[0], names, above=above)
    if all(branch in _NUMBERS[:2] for branch in present):
        return Shape(given=pa.int64(), made=pa.int64())
    if all(branch in _NUMBERS[2:] for branch in present):
        return Shape(given=pa.float64(), made=pa.float64())
    return _json()


def _json() -> Shape:
    """Return how what has no columns is read: as JSON text, its bytes in base64."""
    return Shape(given=pa.string(), made=pa.string(), prepare=_json_text)


def _json_text(value: Any) -> str:
    return json.dumps(
        value, default=_text_of_bytes, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def _text_of_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _of_long(convert: Convert, made: pa.DataType) -> Callable[[Any], Shape]:
    return lambda schema: Shape(given=_given(schema), made=made, convert=convert)


def _given(schema: Any) -> pa.DataType:
    return _PRIMITIVES[schema["type"]]


def _in_calendar(microseconds: pa.Array) -> pa.Array:
    wrong = compute.or_(
        compute.less(microseconds, _FIRST_US), compute.greater(microseconds, _LAST_US)
    )
    reject(microseconds, wrong, "is no time between the years 1 and 9999")
    return microseconds


_multiplied = attempt(
    lambda array: compute.multiply_checked(array.cast(pa.int64()), _MS_TO_US),
    "is no time between the years 1 and 9999",
)


def _divided(array: pa.Array) -> pa.Array:
    # Towards the past, also before 1970.
    floored = compute.divide(array, _NS_IN_US)
    below = compute.less(compute.multiply(floored, _NS_IN_US), array)
    exact = compute.equal(compute.multiply(floored, _NS_IN_US), array)
    past = compute.invert(compute.or_(below, exact))
    return compute.subtract(floored, past.cast(pa.int64()))


def _instant(to_microseconds: Convert | None) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        microseconds = array if to_microseconds is None else to_microseconds(array)
        return _in_calendar(microseconds).cast(_TIMESTAMP)

    return convert


def _local(to_microseconds: Convert | None) -> Convert:
    """Return what makes text of a time that no zone is known of: it is no instant."""

    def convert(array: pa.Array) -> pa.Array:
        microseconds = array if to_microseconds is None else to_microseconds(array)
        local = _in_calendar(microseconds).cast(pa.timestamp("us"))
        return compute.strftime(local, format="%Y-%m-%dT%H:%M:%S")

    return convert


def _decimal(schema: Any) -> Shape | None:
    precision, scale = int(schema.get("precision", 0)), int(schema.get("scale", 0))
    if not (0 < precision <= _MAX_DIGITS and 0 <= scale <= precision):
        return None  # Avro: a logical type that is not valid is not there
    made = pa.decimal128(precision, scale)

    def decimals(array: pa.Array) -> pa.Array:
        texts = [
            None if value is None else f"{int.from_bytes(value, 'big', signed=True)}e-{scale}"
            for value in array.to_pylist()
        ]
        return pa.array(texts, pa.string()).cast(made)

    return Shape(given=pa.binary(), made=made, convert=attempt(decimals, f"does not fit {made}"))


def _uuid(schema: Any) -> Shape | None:
    if schema["type"] != "fixed":
        return Shape(given=pa.string(), made=pa.string())

    def texts(array: pa.Array) -> pa.Array:
        found = [None if v is None else str(uuid.UUID(bytes=v)) for v in array.to_pylist()]
        return pa.array(found, pa.string())

    return Shape(given=pa.binary(), made=pa.string(), convert=attempt(texts, "is no UUID"))


_LOGICAL: Mapping[str, Callable[[Any], Shape | None]] = {
    "date": _of_long(lambda array: array.cast(pa.date32()), pa.date32()),
    "time-millis": _of_long(_multiplied, pa.int64()),
    "time-micros": _of_long(lambda array: array, pa.int64()),
    "timestamp-millis": _of_long(_instant(_multiplied), _TIMESTAMP),
    "timestamp-micros": _of_long(_instant(None), _TIMESTAMP),
    "timestamp-nanos": _of_long(_instant(_divided), _TIMESTAMP),
    "local-timestamp-millis": _of_long(_local(_multiplied), pa.string()),
    "local-timestamp-micros": _of_long(_local(None), pa.string()),
    "local-timestamp-nanos": _of_long(_local(_divided), pa.string()),
    "decimal": _decimal,
    "uuid": _uuid,
}
