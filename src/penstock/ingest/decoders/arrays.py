"""Arrays converted part by part, however nested, and every bad entry told by its index.

    array ─Convert─▶ array of the same length
             └─▶ BadEntries{index: Reason}   of a list's element: the list's own index, and so on up

Works on whole Arrow arrays; looks at single entries only where something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa
from pyarrow import compute

__all__ = [
    "BadEntries",
    "Convert",
    "Part",
    "Reason",
    "attempt",
    "chain",
    "elements",
    "entries",
    "fields",
    "reject",
    "shown",
]

Convert: TypeAlias = Callable[[pa.Array], pa.Array]
"""Raises `BadEntries` with all the entries it found wrong; null stays null."""

_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an entry cannot be read: ``the field 'path' text``.

    Attributes:
        path: names of fields from the outside in, joined by dots; ``[]`` is an element.
    """

    path: str = ""
    text: str

    def __str__(self) -> str:
        """Render as a sentence without its end."""
        return f"the field {self.path!r} {self.text}" if self.path else self.text

    def inside(self, name: str) -> Reason:
        """Return the reason as seen from the struct that has it in the field of the name."""
        rest = self.path if self.path.startswith("[") or not self.path else f".{self.path}"
        return Reason(path=name + rest, text=self.text)


class BadEntries(Exception):
    """Entries of an array that cannot be converted, by index."""

    def __init__(self, reasons: Mapping[int, Reason]) -> None:
        """Keep the reasons."""
        super().__init__()
        self.reasons = dict(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A field of a struct.

    Attributes:
        field: as it is to be.
        convert: None where the field is as it is to be already.
        source: its name in the array; None for a field that is null throughout.
    """

    field: pa.Field
    convert: Convert | None
    source: str | None


def shown(value: object) -> str:
    """Return the value for a message, cut where it is long."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def reject(array: pa.Array, wrong: pa.Array, text: str) -> None:
    """Raise for the entries where ``wrong`` is true; the text is followed by the entry's value."""
    if compute.any(wrong).as_py():
        indexes = compute.indices_nonzero(wrong).to_pylist()
        raise BadEntries({i: Reason(text=f"{text}: {shown(array[i].as_py())}") for i in indexes})


def attempt(convert: Convert, text: str) -> Convert:
    """Return the conversion with Arrow's errors told by entry, as ``text: value``."""

    def convert_or_tell(array: pa.Array) -> pa.Array:
        try:
            return convert(array)
        except (pa.ArrowInvalid, ValueError):
            bad = _failing(array, convert)
        raise BadEntries({i: Reason(text=f"{text}: {shown(_value(array, i))}") for i in bad})

    return convert_or_tell


def chain(first: Convert | None, second: Convert | None) -> Convert | None:
    """Return the one conversion after the other."""
    if first is None or second is None:
        return first or second
    return lambda array: second(first(array))


def elements(convert: Convert | None, kind: pa.ListType) -> Convert:
    """Return the conversion of a list by that of its elements."""

    def convert_list(array: pa.Array) -> pa.Array:
        array = _plain(array)
        with_parents = _ParentsOf(array)
        values = array.values if convert is None else with_parents.told("[]", convert, array.values)
        return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=array.is_null())

    return convert_list


def entries(key: Convert | None, value: Convert | None, kind: pa.MapType) -> Convert:
    """Return the conversion of a map by those of its keys and values."""

    def convert_map(array: pa.Array) -> pa.Array:
        array = _plain(array)
        with_parents = _ParentsOf(array)
        keys, values = array.keys, array.items
        keys = keys if key is None else with_parents.told("[key]", key, keys)
        values = values if value is None else with_parents.told("[value]", value, values)
        return pa.MapArray.from_arrays(array.offsets, keys, values, type=kind, mask=array.is_null())

    return convert_map


def fields(parts: Sequence[Part]) -> Convert:
    """Return the conversion of a struct by those of its fields; fields not named are left out."""
    kind = pa.struct([part.field for part in parts])

    def convert_struct(array: pa.Array) -> pa.Array:
        mask = array.is_null()
        if not parts:
            return pa.array([None if masked else {} for masked in mask.to_pylist()], kind)
        # A parent that is null has null below, whatever stands there.
        children = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
        made: list[pa.Array] = []
        bad: dict[int, Reason] = {}
        for part in parts:
            try:
                made.append(_convert_field(children, part, mask))
            except BadEntries as error:
                bad |= {i: r.inside(part.field.name) for i, r in error.reasons.items()}
        if bad:
            raise BadEntries(bad)
        return pa.StructArray.from_arrays(made, fields=list(kind), mask=mask)

    return convert_struct


def _convert_field(
    children: Mapping[str, pa.Array], part: Part, parents_null: pa.Array
) -> pa.Array:
    """Return a struct's field converted; where it must not be null, told where it is."""
    if part.source is None:
        found = pa.nulls(len(parents_null), part.field.type)
    else:
        found = children[part.source]
        found = found if part.convert is None else part.convert(found)
    if not part.field.nullable and found.null_count:
        missing = compute.and_(found.is_null(), compute.invert(parents_null))
        if compute.any(missing).as_py():
            at = compute.indices_nonzero(missing).to_pylist()
            raise BadEntries(dict.fromkeys(at, Reason(text="is missing or null")))
    return found


class _ParentsOf:
    """Brings what is told of a list's elements up to the list."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def told(self, path: str, convert: Convert, values: pa.Array) -> pa.Array:
        try:
            return convert(values)
        except BadEntries as error:
            parents = self._parents()
            up = {parents[i]: reason.inside(path) for i, reason in error.reasons.items()}
            raise BadEntries(up) from error

    def _parents(self) -> list[int]:
        offsets = self._array.offsets.to_pylist()
        return [i for i in range(len(self._array)) for _ in range(offsets[i + 1] - offsets[i])]


def _plain(array: pa.Array) -> pa.Array:
    """Return a list or map array whose offsets begin at 0 and leave no gap."""
    whole = array.offset == 0 and (not len(array) or array.offsets[0].as_py() == 0)
    if whole and not array.null_count and array.offsets[-1].as_py() == len(array.values):
        return array
    return array.take(pa.arange(0, len(array)))


def _value(array: pa.Array, index: int) -> object:
    try:
        return array[index].as_py()
    except (OverflowError, ValueError):  # what Python has no value for
        return str(array[index])


def _failing(array: pa.Array, convert: Convert) -> Iterator[int]:
    """Give the indexes of the entries that fail by themselves."""
    waiting = [(0, len(array))]
    while waiting:
        begin, count = waiting.pop()
        try:
            convert(array.slice(begin, count))
        except (pa.ArrowInvalid, ValueError):
            if count == 1:
                yield begin
                continue
            half = count // 2
            waiting += [(begin + half, count - half), (begin, half)]
