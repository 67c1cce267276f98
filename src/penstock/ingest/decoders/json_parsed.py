"""Values parsed one by one: for columns with a map, which pyarrow.json cannot read; to find poison.

    value ─orjson─▶ Python's value ─strictly of the type?─▶ Arrow, text where the type is read of text
                                            └─no─▶ the field, and why

Slow (about 150,000 values a second), and only for the columns and batches that need it. A key that a map has
twice counts once, with its last value. Never coerces: true is no number, 1.0 is no integer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from penstock.errors import DataError
from penstock.ingest.decoders import arrays, texts
from penstock.ingest.decoders.arrays import BadEntries, Convert, Part, Reason, attempt, shown

__all__ = ["NO_NUMBERS", "Parser", "converter", "find_poison"]

_Check: TypeAlias = Callable[[Any], Any]
"""Returns the value for Arrow, or raises `_Wrong`."""


NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
"""What JSON has no numbers for, as protobuf's JSON and the change events write it."""

_FLOAT_ENDS = float.fromhex("0x1.ffffffp+127")
_NAMES = {str: "string", int: "number", bool: "boolean", list: "array", dict: "object"}


class _Wrong(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self.reason = reason


class Parser:
    """Reads columns value by value, still to be converted."""

    def __init__(self, fields: Sequence[pa.Field]) -> None:
        """Prepare to parse these columns."""
        self._kinds = {field.name: _read_as(field.type) for field in fields}
        self._checks = {field.name: _check(field.type) for field in fields}
        # orjson has no exact decimals; what it is fast at, it may do.
        exact = any(_has_decimal(field.type) for field in fields)
        self._parse: Callable[[bytes], Any] = _parse_exactly if exact else orjson.loads

    def read(self, values: pa.Array) -> dict[str, pa.Array]:
        """Return the columns by name.

        Raises:
            BadEntries: with every value that has a field of another type.
            DataError: when a text among them is none.
        """
        found: dict[str, list[Any]] = {name: [] for name in self._kinds}
        bad: dict[int, Reason] = {}
        for index, value in enumerate(values.to_pylist()):
            try:
                self._take(value, found)
            except _Wrong as wrong:
                bad[index] = wrong.reason
        if bad:
            raise BadEntries(bad)
        try:
            return {name: pa.array(column, self._kinds[name]) for name, column in found.items()}
        except UnicodeEncodeError as error:
            raise DataError(f"a text is no Unicode: {error}") from error

    def _take(self, value: bytes, found: dict[str, list[Any]]) -> None:
        try:
            parsed = self._parse(value)
        except (ValueError, RecursionError) as error:
            raise _Wrong(Reason(text=f"not JSON: {error}")) from error
        for name, check in self._checks.items():
            found[name].append(_within(name, check, parsed.get(name)))


def find_poison(values: pa.Array, fields: Sequence[pa.Field]) -> tuple[dict[int, str], list[int]]:
    """Return what is wrong with values of which some are, as far as their types tell.

    Returns:
        Reasons by index of those that have a field of a wrong type, whoever reads it; and the
        indexes of those that orjson does not take for an object, which is no proof.
    """
    checks = {field.name: _check(field.type, exact=False) for field in fields}
    reasons, suspects = {}, []
    for index, value in enumerate(values.to_pylist()):
        try:
            parsed = orjson.loads(value)
            for name, check in checks.items():
                _within(name, check, parsed.get(name))
        except _Wrong as wrong:
            reasons[index] = str(wrong.reason)
        except (ValueError, AttributeError):
            suspects.append(index)
    return reasons, suspects


def converter(kind: pa.DataType) -> Convert | None:
    """Return what makes the type of what was parsed for it."""
    if pa.types.is_list(kind):
        return arrays.elements(converter(kind.value_type), kind)
    if pa.types.is_struct(kind):
        parts = [
            Part(field=field, convert=converter(field.type), source=field.name) for field in kind
        ]
        return arrays.fields(parts)
    if pa.types.is_map(kind):
        return arrays.entries(_key_converter(kind.key_type), converter(kind.item_type), kind)
    return texts.reader(kind)


def _key_converter(kind: pa.DataType) -> Convert | None:
    if pa.types.is_string(kind):
        return None
    return texts.reader(kind) or attempt(lambda keys: keys.cast(kind), f"is no {kind}")


def _parse_exactly(value: bytes) -> Any:
    return json.loads(value, parse_float=Decimal)


def _has_decimal(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return _has_decimal(kind.item_type)
    if pa.types.is_list(kind):
        return _has_decimal(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_has_decimal(field.type) for field in kind)
    return bool(pa.types.is_decimal(kind))


def _read_as(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_map(kind):
        return pa.map_(pa.string(), _read_as(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", _read_as(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _read_as(field.type)) for field in kind])
    return pa.string() if texts.reader(kind) is not None else kind


def _check(kind: pa.DataType, *, exact: bool = True) -> _Check:
    """Return what checks a value to be of the type; null is of every type.

    Args:
        kind: the type.
        exact: whether decimals are exact; else they may have been read as floats.
    """
    check = _check_present(kind, exact=exact)
    return lambda value: None if value is None else check(value)


def _check_present(kind: pa.DataType, *, exact: bool) -> _Check:
    if pa.types.is_map(kind):
        return _check_map(_check(kind.item_type, exact=exact))
    if pa.types.is_list(kind):
        return _check_list(_check(kind.value_type, exact=exact))
    if pa.types.is_struct(kind):
        return _check_struct({field.name: _check(field.type, exact=exact) for field in kind})
    if pa.types.is_decimal(kind):
        return lambda value: str(_of(value, (int, str, Decimal) if exact else (int, str, float)))
    return _check_leaf(kind)


def _check_leaf(kind: pa.DataType) -> _Check:
    if pa.types.is_integer(kind):
        return _check_integer(kind)
    if pa.types.is_floating(kind):
        return _check_float(kind)
    return _check_type(bool if pa.types.is_boolean(kind) else str)


def _of(value: Any, wanted: tuple[type, ...]) -> Any:
    # Of just this type: in Python true is an integer.
    if type(value) not in wanted:
        raise _Wrong(Reason(text=f"is no {_NAMES[wanted[0]]}: {shown(value)}"))
    return value


def _within(name: str, check: _Check, value: Any) -> Any:
    try:
        return check(value)
    except _Wrong as wrong:
        raise _Wrong(wrong.reason.inside(name)) from None


def _check_type(wanted: type) -> _Check:
    return lambda value: _of(value, (wanted,))


def _check_integer(kind: pa.DataType) -> _Check:
    limit = 1 << (kind.bit_width - 1)

    def check(value: Any) -> Any:
        if type(value) is not int:
            raise _Wrong(Reason(text=f"is no whole number: {shown(value)}"))
        if not -limit <= value < limit:
            raise _Wrong(Reason(text=f"does not fit {kind}: {value}"))
        return value

    return check


def _check_float(kind: pa.DataType) -> _Check:
    # Up to half a step above the largest float, all round to it.
    limit = _FLOAT_ENDS if pa.types.is_float32(kind) else math.inf

    def check(value: Any) -> float:
        if isinstance(value, str) and value in NO_NUMBERS:
            return float(value)
        if not abs(_of(value, (int, float, Decimal))) < limit:
            raise _Wrong(Reason(text=f"is no number that fits: {shown(value)}"))
        return float(value)

    return check


def _check_list(check: _Check) -> _Check:
    return lambda value: [_within("[]", check, each) for each in _of(value, (list,))]


def _check_map(check: _Check) -> _Check:
    return lambda value: [
        (key, _within(f"[{key}]", check, each)) for key, each in _of(value, (dict,)).items()
    ]


def _check_struct(checks: dict[str, _Check]) -> _Check:
    def check(value: Any) -> dict[str, Any]:
        present = _of(value, (dict,))
        return {name: _within(name, each, present.get(name)) for name, each in checks.items()}

    return check
