"""The Table document: one pydantic model, with its parts.

Judges a document by itself; what needs the topic or another document is the resolver's.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from penstock.control.declare.fields import Count, DnsName, Flag, Names, Period, Size
from penstock.control.declare.part import Part
from penstock.model import expressions, tables, types
from penstock.units import parse_ms

__all__ = [
    "BootstrapSpec",
    "ColumnSpec",
    "CompactionSpec",
    "DeadLettersSpec",
    "DecoderSpec",
    "DerivedSpec",
    "TableDocument",
]


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _type(value: str) -> str:
    return str(types.parse(value))


def _sql(value: str) -> str:
    expressions.parse(value)
    return value


def _instant(value: str) -> str:
    example = "2026-01-31T12:00:00Z"
    if not _RFC_3339.fullmatch(value):
        raise ValueError(f"{value!r} is no time with a zone by RFC 3339; write e.g. {example}")
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no time: {error}; write e.g. {example}") from error
    return value


def _column(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _derived(value: Any) -> Any:
    return {"sql": value} if isinstance(value, str) else value


def _decoder(value: Any) -> Any:
    return {"format": value} if isinstance(value, str) else value


def _latency(value: object) -> int:
    if value == "continuous":
        return 0
    if not isinstance(value, str):
        raise ValueError("it needs a unit; write e.g. 1m, or continuous")  # noqa: TRY004 - pydantic's way
    latency = parse_ms(value)
    if latency < 1:
        raise ValueError(f"{value} is no time to wait; write e.g. 1m, or continuous")
    return latency


Type = Annotated[str, AfterValidator(_type)]
Sql = Annotated[str, AfterValidator(_sql)]
Instant = Annotated[str, AfterValidator(_instant)]
Latency = Annotated[
    int,
    BeforeValidator(_latency, json_schema_input_type=str),
    Field(examples=["continuous", "1m", "15m", "30m"]),
]
ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class ColumnSpec(Part):
    """A column read from the record's value by its name."""

    type: Type
    """The column's type, as Spark writes it: `long`, `decimal(18,2)`, `array<string>`, …"""
    nullable: Flag = True
    """Whether a record may lack it."""


class DerivedSpec(Part):
    """A column made from others."""

    sql: Sql
    """SQL over the columns and the record's coordinates."""
    type: Type | None = None
    """What it gives, where that is to be said."""


class DecoderSpec(Part):
    """How a record's value becomes columns."""

    format: tables.Format
    """What the value is written in."""
    registry: str = ""
    """URL of the schema registry (Confluent's API), or `embedded`: that of `penstock up --registry`."""
    subject: str = ""
    """The registry's subject for the columns; else the topic's name and `-value`."""
    descriptor: str = ""
    """Path or URL of a protobuf descriptor file or an Avro schema, where no registry is used."""
    message: str = ""
    """Full name of the protobuf message; else the schema's first."""
    function: str = ""
    """`module:function`, or the name of an entry point, that reads an Arrow array of bytes."""


class BootstrapSpec(Part):
    """Where the rows from before the first record come from."""

    snapshot: str = ""
    """Path or URL of a directory of Parquet files, or of a Delta table."""
    taken_at: Instant = ""
    """When the snapshot was begun, RFC 3339, e.g. `2026-01-31T12:00:00Z`."""
    margin: Period = Field(default=60_000, json_schema_extra={"default": "1m"})
    """Records are read from so long before the snapshot, for clocks that differ."""


class DeadLettersSpec(Part):
    """What becomes of records that cannot be rows."""

    path: str = ""
    """Where their table is; else the table's path and `_dead_letters`."""
    max_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Above this share of the latest records the table stops."""


class CompactionSpec(Part):
    """How the table's files are kept few and large."""

    commits: Count = 120
    """Small files are joined after so many commits."""
    target: Size = Field(default=128 * 2**20, json_schema_extra={"default": "128MiB"})
    """How large a file should be."""
    retention: Period = Field(default=24 * 3_600_000, json_schema_extra={"default": "1d"})
    """How long replaced files stay, for readers of older versions and for the change feed."""


Column = Annotated[ColumnSpec, BeforeValidator(_column, json_schema_input_type=str | ColumnSpec)]
Derived = Annotated[
    DerivedSpec, BeforeValidator(_derived, json_schema_input_type=str | DerivedSpec)
]
DecoderField = Annotated[
    DecoderSpec, BeforeValidator(_decoder, json_schema_input_type=tables.Format | DecoderSpec)
]


class TableDocument(Part):
    """A table of the lake, fed by a topic: one in each environment the topic is in."""

    kind: Literal["Table"]
    name: DnsName
    """Unique in its environment."""
    topic: str
    """The logical topic that feeds it."""
    owner: DnsName
    """The one team that answers for it."""
    description: str = ""
    """What its rows mean."""
    environment: DnsName | None = None
    """The one environment to have the table in; else every environment of the topic."""
    clusters: Names = Field(default_factory=list)
    """Read only these clusters of the topic; else every one."""
    path: str = ""
    """Where the Delta table is: a URL, or a path below the lake; else `environment/name`."""
    mode: tables.TableMode = tables.TableMode.APPEND
    """How records become rows."""
    decoder: DecoderField = Field(default_factory=lambda: DecoderSpec(format=tables.Format.JSON))
    """How a record's value becomes columns: a format, or `{format: …, …}`."""
    columns: dict[ColumnName, Column] = Field(default_factory=dict)
    """Columns by name: a type, or `{type: …, nullable: false}`; else those of the decoder's schema."""
    derived: dict[ColumnName, Derived] = Field(default_factory=dict)
    """Columns made from others by SQL, e.g. `day: date(at)`; the record's coordinates are
    `cluster`, `topic`, `partition`, `offset`, `key`, `record_id`, `event_time`."""
    partition_by: Names = Field(default_factory=list)
    """Columns the table's files are laid out by."""
    primary_key: Names = Field(default_factory=list)
    """Columns that name a row; `merge` and `merge-cdc` need them."""
    order_by: Names = Field(default_factory=list)
    """Columns that tell which of two records of a key is newer, in `merge`; else their offsets do."""
    namespace: str = ""
    """Of a topic of several tables, take only events of this `ns`."""
    strategy: tables.Strategy = tables.Strategy.AUTO
    """How changes get into a merged table; `penstock table explain` tells which and why."""
    truncation: tables.Truncation = tables.Truncation.STOP
    """What a truncation of the source table does."""
    tombstones: Period = Field(default=7 * 24 * 3_600_000, json_schema_extra={"default": "7d"})
    """How long a deleted key is remembered against late events."""
    latency: Latency = Field(default=1_000, json_schema_extra={"default": "1s"})
    """A record is in the table at most this long after it can be read: `continuous`, or e.g. `15m`."""
    engine: tables.Engine = tables.Engine.EMBEDDED
    """What carries the batches out."""
    evolution: tables.Evolution = tables.Evolution.REFUSE
    """What may happen to the columns when other ones are declared."""
    change_feed: Flag = False
    """Whether the table keeps a change data feed."""
    archive: str = ""
    """Path or URL below which the topic's older records are kept."""
    bootstrap: BootstrapSpec = Field(default_factory=BootstrapSpec)
    """Where the rows from before the first record come from."""
    dead_letters: DeadLettersSpec = Field(default_factory=DeadLettersSpec)
    """What becomes of records that cannot be rows."""
    compaction: CompactionSpec = Field(default_factory=CompactionSpec)
    """How the table's files are kept few and large."""
