"""Types of PostgreSQL as those of the lake: pure, from what the catalog says.

SourceTable ─columns_of─▶ Column…, and what is left out

Types are those in which the connector's transform writes values: text where JSON's numbers would
lose digits, UTC for times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.ingest.onboarding.proposals import Column

__all__ = ["SourceColumn", "SourceTable", "columns_of", "type_of"]

_MAX_DIGITS = 38
_TYPES = {
    "boolean": ("boolean", ""),
    "smallint": ("short", ""),
    "integer": ("integer", ""),
    "bigint": ("long", ""),
    "oid": ("long", ""),
    "real": ("float", ""),
    "double precision": ("double", ""),
    "money": ("decimal(19,2)", ""),
    "bytea": ("binary", ""),
    "bit": ("binary", "bits, as bytes"),
    "bit varying": ("binary", "bits, as bytes"),
    "date": ("date", ""),
    "timestamp with time zone": ("timestamp", ""),
    "timestamp without time zone": ("timestamp", "without a zone: taken for UTC"),
    "hstore": ("map<string, string>", ""),
    "uuid": ("string", "a UUID as text"),
    "json": ("string", "a document as text"),
    "jsonb": ("string", "a document as text"),
    "xml": ("string", "a document as text"),
    "interval": ("string", "as ISO 8601 text, e.g. P1DT2H"),
    "time without time zone": ("string", "as text, HH:MM:SS"),
    "time with time zone": ("string", "as text, HH:MM:SSZ"),
}
"""The lake's type and a remark by the name PostgreSQL writes, without what stands in brackets."""

_TYPES |= dict.fromkeys(
    (
        *("text", "character varying", "character", "bpchar", "name", "citext", "ltree"),
        *("inet", "cidr", "macaddr", "macaddr8", "tsvector"),
        *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    ),
    ("string", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumn:
    """A column as the catalog has it.

    Attributes:
        type: as PostgreSQL writes it, e.g. ``numeric(18,2)``; that below a domain.
        enum: whether it, or its element, is an enumeration.
    """

    name: str
    type: str
    nullable: bool
    enum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A table of the database.

    Attributes:
        name: ``schema.table``.
        primary_key: its columns, in the key's order; none where there is none.
    """

    name: str
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...]


def columns_of(table: SourceTable) -> tuple[list[Column], dict[str, str]]:
    """Return the columns of the lake's table, and why others have no type there."""
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for one in table.columns:
        found = type_of(one)
        if found is None:
            left_out[one.name] = f"{one.type} has no type in a table of the lake"
            continue
        kind, note = found
        # An update may leave a large value out, and a column may be dropped at the source: only
        # the key is sure to be in every event.
        required = one.name in table.primary_key
        told = f"{one.type}; {note}" if note else one.type
        columns.append(Column(name=one.name, type=kind, nullable=not required, note=told))
    return columns, left_out


def type_of(column: SourceColumn) -> tuple[str, str] | None:
    """Return the lake's type of a column and a remark, or None where there is none."""
    if column.type.endswith("[]"):
        element = type_of(
            SourceColumn(name="", type=column.type[:-2], nullable=True, enum=column.enum)
        )
        return element and (f"array<{element[0]}>", element[1])
    base = re.sub(r"\([^)]*\)", "", column.type)
    if base == "numeric":
        return _decimal(column.type)
    if column.enum:
        return "string", "an enumeration, as text"
    return ("boolean", "") if column.type == "bit(1)" else _TYPES.get(base)


def _decimal(text: str) -> tuple[str, str]:
    numbers = [int(number) for number in re.findall(r"-?\d+", text)]
    if not numbers:
        return "string", "without a precision: as text, no digit lost"
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if precision > _MAX_DIGITS or not 0 <= scale <= precision:
        return "string", "more digits than a decimal holds: as text"
    return f"decimal({precision},{scale})", ""
