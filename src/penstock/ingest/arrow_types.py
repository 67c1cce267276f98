"""Declared types as Arrow's, and back.

    types.Type ─to_arrow─▶ pa.DataType ─from_arrow─▶ types.Type

Delta and Spark take the Arrow types as they are: signed integers, microseconds UTC, maps with keys
that are never null. What has no Delta type (unsigned 64, a time of day) is the decoders' to map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import pyarrow as pa

from penstock.model import tables, types

__all__ = ["from_arrow", "schema", "to_arrow"]

_PRIMITIVES: dict[types.Primitive, pa.DataType] = {
    types.Primitive.STRING: pa.string(),
    types.Primitive.BINARY: pa.binary(),
    types.Primitive.BOOLEAN: pa.bool_(),
    types.Primitive.BYTE: pa.int8(),
    types.Primitive.SHORT: pa.int16(),
    types.Primitive.INTEGER: pa.int32(),
    types.Primitive.LONG: pa.int64(),
    types.Primitive.FLOAT: pa.float32(),
    types.Primitive.DOUBLE: pa.float64(),
    types.Primitive.DATE: pa.date32(),
    types.Primitive.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
_BACK = {arrow: primitive for primitive, arrow in _PRIMITIVES.items()}


def to_arrow(kind: types.Type) -> pa.DataType:
    """Return the Arrow type of a declared type."""
    match kind:
        case types.Primitive():
            return _PRIMITIVES[kind]
        case types.Decimal():
            return pa.decimal128(kind.precision, kind.scale)
        case types.Array():
            return pa.list_(pa.field("element", to_arrow(kind.element)))
        case types.Map():
            return pa.map_(to_arrow(kind.key), to_arrow(kind.value))
        case types.Struct():
            return pa.struct(
                [pa.field(f.name, to_arrow(f.type), nullable=f.nullable) for f in kind.fields]
            )
        case _:
            assert_never(kind)


def from_arrow(kind: pa.DataType) -> types.Type:
    """Return the declared type of an Arrow type that a table can have.

    Raises:
        ValueError: for a type no table can have, with its name.
    """
    if (primitive := _primitive(kind)) is not None:
        return primitive
    if pa.types.is_decimal128(kind):
        return types.Decimal(precision=kind.precision, scale=kind.scale)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return types.Array(element=from_arrow(kind.value_type))
    if pa.types.is_map(kind):
        return types.Map(key=from_arrow(kind.key_type), value=from_arrow(kind.item_type))
    if pa.types.is_struct(kind):
        fields = (kind.field(index) for index in range(kind.num_fields))
        return types.Struct(
            fields=tuple(
                types.Field(name=f.name, type=from_arrow(f.type), nullable=f.nullable)
                for f in fields
            )
        )
    raise ValueError(f"no table has a column of type {kind}")


def _primitive(kind: pa.DataType) -> types.Primitive | None:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return types.Primitive.STRING
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return types.Primitive.BINARY
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return types.Primitive.TIMESTAMP
    return _BACK.get(kind)


def schema(columns: Sequence[tables.Column]) -> pa.Schema:
    """Return the columns as Arrow has them, with what may be null."""
    return pa.schema([pa.field(c.name, to_arrow(c.kind), nullable=c.nullable) for c in columns])
