"""A table of the lake, fed by a topic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Column", "ColumnType", "Decoder", "DerivedColumn", "Table", "TableMode"]


class TableMode(StrEnum):
    """How records become rows."""

    APPEND = "append"
    """One row a record, insert only."""


class Decoder(StrEnum):
    """How a record's value becomes columns."""

    JSON = "json"


class ColumnType(StrEnum):
    """Types of declared columns: Delta's primitive types that JSON can fill."""

    STRING = "string"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    """UTC, microseconds; read from RFC 3339 text."""
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column read from the record's value by its name."""

    name: str
    type: ColumnType
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedColumn:
    """A column made from another: ``date(column)`` or a Kafka coordinate.

    Attributes:
        expression: ``date(<timestamp column>)``, ``cluster``, ``partition``, ``offset``,
            ``record_id``, ``event_time``, ``key``.
    """

    name: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One onboarded table.

    Attributes:
        environment: of the topic.
        path: where the Delta table is; relative paths are below the lake directory.
        latency_ms: a record is in the table at most this long after it can be read.
    """

    name: str
    topic: str
    environment: str
    owner: str
    path: str
    mode: TableMode = TableMode.APPEND
    decoder: Decoder = Decoder.JSON
    columns: tuple[Column, ...] = ()
    derived: tuple[DerivedColumn, ...] = ()
    partition_by: tuple[str, ...] = ()
    latency_ms: int = 1_000
    description: str = ""

    @property
    def ident(self) -> str:
        """Return ``environment/name``, unique in the estate."""
        return f"{self.environment}/{self.name}"
