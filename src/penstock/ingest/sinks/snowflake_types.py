"""What a table's columns are in Snowflake, and how those of a copy follow the table's.

    Arrow schema ─columns─▶ Column …        written columns, columns now ─evolve─▶ added, widened

Names become upper case, so that nobody has to quote them there. Integers are NUMBER(38,0), as all
of Snowflake's own integers are; a timestamp is a moment, so it is TIMESTAMP_LTZ; what has parts is
VARIANT. Pure: never asks Snowflake what it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import pyarrow as pa

from penstock.errors import Refused
from penstock.ingest import arrow_types
from penstock.model import types

__all__ = ["Column", "Evolution", "columns", "declared", "evolve"]

_PRIMITIVES = {
    types.Primitive.STRING: "VARCHAR",
    types.Primitive.BINARY: "BINARY",
    types.Primitive.BOOLEAN: "BOOLEAN",
    types.Primitive.BYTE: "NUMBER(38,0)",
    types.Primitive.SHORT: "NUMBER(38,0)",
    types.Primitive.INTEGER: "NUMBER(38,0)",
    types.Primitive.LONG: "NUMBER(38,0)",
    types.Primitive.FLOAT: "FLOAT",
    types.Primitive.DOUBLE: "FLOAT",
    types.Primitive.DATE: "DATE",
    types.Primitive.TIMESTAMP: "TIMESTAMP_LTZ(6)",
}
_AGAIN = "Copy the whole table anew: --full."


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column on both sides.

    Attributes:
        source: its name in the lake.
        name: its name in Snowflake.
        type: its type there.
    """

    source: str
    name: str
    type: str

    @property
    def staged(self) -> str:
        """Return the type it has on its way: what has parts travels as JSON text."""
        return "VARCHAR" if self.type == "VARIANT" else self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """What a copy's columns need, to be those of its table.

    Attributes:
        added: columns that are new.
        widened: columns whose type holds more than it did.
    """

    added: tuple[Column, ...] = ()
    widened: tuple[Column, ...] = ()


def declared(kind: types.Type) -> str:
    """Return the type that Snowflake has for a declared one."""
    match kind:
        case types.Primitive():
            return _PRIMITIVES[kind]
        case types.Decimal():
            return f"NUMBER({kind.precision},{kind.scale})"
        case types.Array() | types.Map() | types.Struct():
            return "VARIANT"
        case _:
            assert_never(kind)


def columns(schema: pa.Schema) -> tuple[Column, ...]:
    """Return the columns of a table.

    Raises:
        Refused: when the names of two differ by case alone.
    """
    counts = Counter(name.upper() for name in schema.names)
    if same := [name for name in schema.names if counts[name.upper()] > 1]:
        raise Refused(
            f"columns {', '.join(same)} would be one in Snowflake, where names are upper case. "
            "Rename one in the table."
        )
    return tuple(
        Column(
            source=field.name,
            name=field.name.upper(),
            type=declared(arrow_types.from_arrow(field.type)),
        )
        for field in schema
    )


def evolve(written: Mapping[str, str], now: Sequence[Column]) -> Evolution:
    """Return what makes a copy's columns those of its table.

    Args:
        written: types by name, as the copy has them.
        now: the table's columns.

    Raises:
        Refused: for a change that no copy can follow, with all such columns.
    """
    kept = [column for column in now if column.name in written]
    faults = [f"{name} is gone" for name in written if name not in {c.name for c in now}]
    faults += [
        f"{column.name} is {column.type} and was {written[column.name]}"
        for column in kept
        if not _holds(column.type, written[column.name])
    ]
    if faults:
        raise Refused(
            f"the copy in Snowflake cannot follow its table: {'; '.join(faults)}. {_AGAIN}"
        )
    return Evolution(
        added=tuple(column for column in now if column.name not in written),
        widened=tuple(column for column in kept if column.type != written[column.name]),
    )


def _holds(wide: str, narrow: str) -> bool:
    """Tell whether a column may become ``wide`` in place: Snowflake keeps a number's scale."""
    if wide == narrow:
        return True
    if not (wide.startswith("NUMBER") and narrow.startswith("NUMBER")):
        return False
    (many, scale), (few, former) = _digits(wide), _digits(narrow)
    return scale == former and many > few


def _digits(number: str) -> tuple[int, int]:
    precision, _, scale = number.removeprefix("NUMBER(").removesuffix(")").partition(",")
    return int(precision), int(scale)
