"""What a decoder has, as what the table declares: only where no value can change its meaning.

    int32 ─▶ long, double, decimal        text ─▶ timestamp, date, decimal (as `texts` reads them)
    uint64 ─▶ decimal(20,0), long          struct ─▶ struct, by names; a field that is not there is null
       └─ a value that does not fit ─▶ BadEntries: poison, never another value

Whether two types go together is decided once, when the decoder is opened.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from penstock.ingest.decoders import arrays, texts
from penstock.ingest.decoders.arrays import Convert, Part, attempt

__all__ = ["Unfit", "caster", "tabular"]

_UNSIGNED_LONG_DIGITS = 20
_MAX_DIGITS = 38
_TIMESTAMP = pa.timestamp("us", tz="UTC")


class Unfit(Exception):
    """A type cannot be brought to another; the message says which, and where."""


def tabular(kind: pa.DataType) -> pa.DataType:
    """Return the table's type that holds every value of the Arrow type.

    Raises:
        Unfit: when no table has such a column.
    """
    if pa.types.is_dictionary(kind):
        return tabular(kind.value_type)
    found = _tabular_nested(kind) if pa.types.is_nested(kind) else _tabular_leaf(kind)
    if found is None:
        raise Unfit(f"no table has a column of type {kind}")
    return found


def _tabular_leaf(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _TIMESTAMP
    if pa.types.is_decimal(kind) and kind.precision <= _MAX_DIGITS and kind.scale >= 0:
        return pa.decimal128(kind.precision, kind.scale)
    return _WHOLE.get(kind)


def _tabular_nested(kind: pa.DataType) -> pa.DataType | None:
    if _is_list(kind):
        return pa.list_(pa.field("element", tabular(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(tabular(kind.key_type), tabular(kind.item_type))
    if pa.types.is_struct(kind) and kind.num_fields:
        return pa.struct([pa.field(f.name, tabular(f.type)) for f in kind])
    return None


_WHOLE: Mapping[pa.DataType, pa.DataType] = {
    **{same: same for same in (pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{same: same for same in (pa.float32(), pa.float64(), pa.date32())},
    **dict.fromkeys([pa.string(), pa.large_string(), pa.string_view()], pa.string()),
    **dict.fromkeys([pa.binary(), pa.large_binary(), pa.binary_view()], pa.binary()),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(_UNSIGNED_LONG_DIGITS, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}


def caster(have: pa.DataType, want: pa.DataType) -> Convert | None:
    """Return the conversion, or None where there is nothing to convert.

    Raises:
        Unfit: when values could change their meaning.
    """
    if have.equals(want) and not pa.types.is_nested(want):
        return None
    if pa.types.is_dictionary(have):
        return arrays.chain(lambda array: array.dictionary_decode(), caster(have.value_type, want))
    if _is_list(have) and pa.types.is_list(want):
        return _list_caster(have, want)
    if pa.types.is_map(have) and pa.types.is_map(want):
        return arrays.entries(
            caster(have.key_type, want.key_type), caster(have.item_type, want.item_type), want
        )
    if pa.types.is_struct(have) and pa.types.is_struct(want):
        return arrays.fields([part(have, field) for field in want])
    if pa.types.is_nested(have) or pa.types.is_nested(want):
        raise Unfit(f"{have} is not {want}")
    return _leaf_caster(have, want)


def part(have: pa.StructType, field: pa.Field) -> Part:
    """Return how a field of a struct is made from the struct there is.

    Raises:
        Unfit: when it cannot be made.
    """
    index = have.get_field_index(field.name)
    if index < 0:
        return Part(field=field, convert=None, source=None)
    try:
        convert = caster(have.field(index).type, field.type)
    except Unfit as error:
        raise Unfit(f"{field.name}: {error}") from error
    return Part(field=field, convert=convert, source=field.name)


def _list_caster(have: pa.DataType, want: pa.ListType) -> Convert:
    convert = arrays.elements(caster(have.value_type, want.value_type), want)
    if pa.types.is_list(have):
        return convert
    # Views and large lists are rare: made plain by Arrow, then as any list.
    plain = pa.list_(have.value_type)
    return lambda array: convert(array.cast(plain))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _leaf_caster(have: pa.DataType, want: pa.DataType) -> Convert:
    told = f"does not fit {want}"
    if _is_text(have) and (read := texts.reader(want)) is not None and not _is_bytes(want):
        return read
    if pa.types.is_integer(have) and pa.types.is_decimal128(want):
        return attempt(_decimal_of_integer(want), told)
    if pa.types.is_timestamp(have) and have.tz is not None and pa.types.is_timestamp(want):
        # Below the microsecond it is cut, as texts are.
        return attempt(lambda array: array.cast(want, safe=have.unit != "ns"), told)
    if _is_safe(have, want):
        return attempt(lambda array: array.cast(want), told)
    raise Unfit(f"{have} is not {want}")


def _is_safe(have: pa.DataType, want: pa.DataType) -> bool:
    if pa.types.is_null(have):
        return True
    if pa.types.is_integer(have):
        return bool(pa.types.is_integer(want) or want in {pa.float32(), pa.float64()})
    if pa.types.is_floating(have):
        return bool(pa.types.is_floating(want) and want.bit_width >= have.bit_width)
    if pa.types.is_decimal(have):
        return bool(pa.types.is_decimal128(want))
    if pa.types.is_date(have):
        return bool(pa.types.is_date32(want))
    return (_is_text(have) or _is_bytes(have)) and (_is_text(want) or _is_bytes(want))


def _decimal_of_integer(want: pa.Decimal128Type) -> Convert:
    wide = pa.decimal128(_UNSIGNED_LONG_DIGITS, 0)

    def convert(array: pa.Array) -> pa.Array:
        return array.cast(wide).cast(want)

    return convert


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
