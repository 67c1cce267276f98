"""Types of columns, written as Spark writes them: `struct<id: long, tags: array<string>>`.

    text ─parse─▶ Type ─str─▶ the same text, canonical

Closed and without I/O; what a type is in Arrow, Delta, protobuf or Avro is the decoders' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

__all__ = ["Array", "Decimal", "Field", "Map", "Primitive", "Struct", "Type", "parse"]


class Primitive(StrEnum):
    """Types without parts."""

    STRING = "string"
    BINARY = "binary"
    BOOLEAN = "boolean"
    BYTE = "byte"
    """Signed, 8 bits."""
    SHORT = "short"
    """Signed, 16 bits."""
    INTEGER = "integer"
    """Signed, 32 bits."""
    LONG = "long"
    """Signed, 64 bits."""
    FLOAT = "float"
    DOUBLE = "double"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """UTC, microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decimal:
    """An exact number: ``precision`` digits, 1 to 38, of which ``scale`` stand after the point."""

    precision: int
    scale: int

    def __str__(self) -> str:
        """Render as it is declared."""
        return f"decimal({self.precision},{self.scale})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """Any number of elements in order."""

    element: Type

    def __str__(self) -> str:
        """Render as it is declared."""
        return f"array<{self.element}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Values by key; keys are unique and never null."""

    key: Type
    value: Type

    def __str__(self) -> str:
        """Render as it is declared."""
        return f"map<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a struct."""

    name: str
    type: Type
    nullable: bool = True

    def __str__(self) -> str:
        """Render as it is declared."""
        return f"{self.name}: {self.type}{'' if self.nullable else ' not null'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Struct:
    """Named fields in order."""

    fields: tuple[Field, ...]

    def __str__(self) -> str:
        """Render as it is declared."""
        return f"struct<{', '.join(map(str, self.fields))}>"


Type: TypeAlias = "Primitive | Decimal | Array | Map | Struct"

_MAX_PRECISION = 38
_DEFAULT_DECIMAL = Decimal(precision=10, scale=0)


@lru_cache(maxsize=4096)
def parse(text: str) -> Type:
    """Return the type that the text declares.

    The grammar and the names are Spark SQL's; `long` and `bigint` are the same, and so on.

    Raises:
        ValueError: with what is wrong, and what may stand there.
    """
    # Loaded by those who declare or land tables; services that only send need no SQL.
    import sqlglot.errors
    from sqlglot import exp

    try:
        tree = exp.DataType.build(text, dialect="spark")
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise ValueError(f"{text!r} is no type; {_KNOWN}") from error
    return _convert(tree, text)


_KNOWN = (
    f"write one of {', '.join(Primitive)}, decimal(precision,scale), array<type>, map<type, type>, "
    "struct<name: type, …>"
)
_PRIMITIVES = {
    "TEXT": Primitive.STRING,
    "BINARY": Primitive.BINARY,
    "VARBINARY": Primitive.BINARY,
    "BOOLEAN": Primitive.BOOLEAN,
    "TINYINT": Primitive.BYTE,
    "SMALLINT": Primitive.SHORT,
    "INT": Primitive.INTEGER,
    "BIGINT": Primitive.LONG,
    "FLOAT": Primitive.FLOAT,
    "DOUBLE": Primitive.DOUBLE,
    "DATE": Primitive.DATE,
    "TIMESTAMPTZ": Primitive.TIMESTAMP,
}


def _convert(tree: object, text: str) -> Type:
    from sqlglot import exp

    if not isinstance(tree, exp.DataType) or not isinstance(tree.this, exp.DType):
        raise ValueError(f"{text!r} is no type; {_KNOWN}")  # noqa: TRY004 - of the text, no type
    parts = tree.expressions
    name = tree.this.name
    if name in _PRIMITIVES and not parts:
        return _PRIMITIVES[name]
    if name == "DECIMAL":
        return _decimal([int(part.name) for part in parts], text)
    if name == "ARRAY" and len(parts) == 1:
        return Array(element=_convert(parts[0], text))
    if name == "MAP" and len(parts) == 2:  # noqa: PLR2004 - of a key and a value
        return Map(key=_convert(parts[0], text), value=_convert(parts[1], text))
    if name == "STRUCT" and parts and all(isinstance(part, exp.ColumnDef) for part in parts):
        fields = tuple(
            Field(name=part.name, type=_convert(part.kind, text), nullable=not part.constraints)
            for part in parts
        )
        if len({field.name for field in fields}) < len(fields):
            raise ValueError(f"{text!r} names a field twice")
        return Struct(fields=fields)
    raise ValueError(f"{text!r} is no type; {_KNOWN}")


def _decimal(numbers: list[int], text: str) -> Decimal:
    if not numbers:
        return _DEFAULT_DECIMAL
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if not (0 < precision <= _MAX_PRECISION and 0 <= scale <= precision):
        raise ValueError(
            f"{text!r}: a decimal has 1 to {_MAX_PRECISION} digits, and no more after its point"
        )
    return Decimal(precision=precision, scale=scale)
