"""Columns that JSON values fit: what every one of them has in common.

    values ─json─▶ Shape, one value at a time ─merge─▶ Shape ─columns─▶ Column…, and what is left out

What is proposed reads every value it was made of: a field that is text in one record and a number
in another has no type, and is left out with the reason. Guesses say what they rest on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.ingest.onboarding.proposals import Column
from penstock.model import types

__all__ = ["Inferred", "infer"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LONG = range(-(2**63), 2**63)
_MAX_DIGITS = 38
_MANY_KEYS = 32
"""A field with more names than this, none of them in every record, is taken for a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What values have in common.

    Attributes:
        left_out: why a field is no column, by name.
        objects: how many of the values were JSON objects.
    """

    columns: tuple[Column, ...]
    left_out: dict[str, str]
    objects: int


@dataclass(frozen=True, slots=True)
class _NoType:
    """Why a place has no type."""

    reason: str


@dataclass(slots=True)
class _Shape:
    """What one place was seen to hold.

    Attributes:
        kinds: how often each kind of value stood there; null is one of them.
        digits: of the longest whole number.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    digits: int = 0
    element: _Shape | None = None
    fields: dict[str, _Shape] = field(default_factory=dict)

    def see(self, value: Any) -> None:
        match value:
            case None:
                self.kinds["null"] += 1
            case bool():
                self.kinds["boolean"] += 1
            case int():
                self.kinds["long" if value in _LONG else "big"] += 1
                self.digits = max(self.digits, len(str(abs(value))))
            case float():
                self.kinds["double"] += 1
            case str():
                self.kinds[_text(value)] += 1
            case list():
                self.kinds["array"] += 1
                self.element = self.element or _Shape()
                for each in value:
                    self.element.see(each)
            case dict():
                self.kinds["object"] += 1
                for name, each in value.items():
                    self.fields.setdefault(name, _Shape()).see(each)
            case _:
                raise TypeError(f"{type(value).__name__} is no value of JSON")

    @property
    def times(self) -> int:
        return self.kinds.total()

    def type(self) -> types.Type | _NoType:
        """Return the type of every value seen, or why there is none."""
        kinds = {kind for kind in self.kinds if kind != "null"}
        if kinds <= {"text", "timestamp", "date"}:
            return types.Primitive(*kinds) if len(kinds) == 1 and "text" not in kinds else _STRING
        if kinds <= {"long", "big", "double"}:
            return self._number(kinds)
        if len(kinds) > 1:
            told = (f"{_WORDS[kind]} in {n}" for kind, n in self._told())
            return _NoType(f"it is {', '.join(told)}")
        match kinds.pop():
            case "array":
                element = self.element.type() if self.element else _STRING
                return element if isinstance(element, _NoType) else types.Array(element=element)
            case "object":
                return self._object()
            case kind:
                return types.Primitive(kind)

    def _told(self) -> Iterator[tuple[str, int]]:
        return ((kind, n) for kind, n in self.kinds.most_common() if kind != "null")

    def _number(self, kinds: set[str]) -> types.Type | _NoType:
        if "double" in kinds:
            return types.Primitive.DOUBLE
        if "big" not in kinds:
            return types.Primitive.LONG
        if self.digits > _MAX_DIGITS:
            return _NoType(f"it has numbers of {self.digits} digits")
        return types.Decimal(precision=_MAX_DIGITS, scale=0)

    def _object(self) -> types.Type | _NoType:
        if not self.fields:
            return _NoType("it is always an empty object")
        steady = any(shape.times == self.times for shape in self.fields.values())
        if len(self.fields) > _MANY_KEYS and not steady:
            return self._map()
        fields = []
        for name, shape in self.fields.items():
            kind = shape.type()
            if not isinstance(kind, _NoType) and _NAME.fullmatch(name):
                fields.append(types.Field(name=name, type=kind))
        made = types.Struct(fields=tuple(fields))
        if fields and _survives(made):
            return made
        return _NoType("its fields cannot be those of a struct")

    def _map(self) -> types.Type | _NoType:
        whole = _Shape()
        for shape in self.fields.values():
            whole.absorb(shape)
        value = whole.type()
        return value if isinstance(value, _NoType) else types.Map(key=_STRING, value=value)

    def absorb(self, other: _Shape) -> None:
        self.kinds += other.kinds
        self.digits = max(self.digits, other.digits)
        if other.element:
            self.element = self.element or _Shape()
            self.element.absorb(other.element)
        for name, shape in other.fields.items():
            self.fields.setdefault(name, _Shape()).absorb(shape)


_STRING = types.Primitive.STRING
_WORDS = {
    "text": "text",
    "timestamp": "a time",
    "date": "a date",
    "boolean": "true or false",
    "long": "a number",
    "big": "a number",
    "double": "a number",
    "array": "a list",
    "object": "an object",
}


def infer(values: Iterable[bytes | None]) -> Inferred:
    """Return the columns that every JSON object among the values fits."""
    whole = _Shape()
    for value in values:
        found = _parse(value)
        if isinstance(found, dict):
            whole.see(found)
    columns, left_out = [], {}
    for name, shape in whole.fields.items():
        kind = shape.type()
        if isinstance(kind, _NoType):
            left_out[name] = kind.reason
        elif not _NAME.fullmatch(name):
            left_out[name] = "its name cannot be a column's"
        else:
            columns.append(_column(name, shape, kind, of=whole.times))
    return Inferred(columns=tuple(columns), left_out=left_out, objects=whole.times)


def _column(name: str, shape: _Shape, kind: types.Type, *, of: int) -> Column:
    there = shape.times - shape.kinds["null"]
    if not there:
        note = f"null in all of {of} records: text is a guess"
    elif there < of:
        note = f"in {there} of {of} records"
    else:
        note = f"in all of {of} records"
    return Column(name=name, type=str(kind), nullable=there < of, note=note)


def _text(value: str) -> str:
    if _DATE.fullmatch(value):
        return "date"
    return "timestamp" if _TIMESTAMP.fullmatch(value) else "text"


def _parse(value: bytes | None) -> object:
    try:
        return json.loads(value) if value is not None else None
    except (ValueError, RecursionError):
        return None


def _survives(kind: types.Type) -> bool:
    """Tell whether the type can be written in a file: some names mean something to SQL."""
    try:
        return types.parse(str(kind)) == kind
    except ValueError:
        return False
