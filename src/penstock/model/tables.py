"""A table of the lake, fed by a topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from penstock.model import types

__all__ = [
    "EMBEDDED",
    "Bootstrap",
    "Column",
    "Compaction",
    "DeadLetters",
    "Decoder",
    "DerivedColumn",
    "Engine",
    "Evolution",
    "Format",
    "Merge",
    "Strategy",
    "Table",
    "TableMode",
    "Truncation",
]


class TableMode(StrEnum):
    """How records become rows."""

    APPEND = "append"
    """One row a record, insert only."""
    MERGE_CDC = "merge-cdc"
    """Inserts, updates and deletes of rows, as a database's change events tell them."""
    MERGE = "merge"
    """The newest record of a key is its row."""


class Format(StrEnum):
    """What a record's value is written in."""

    JSON = "json"
    PROTOBUF = "protobuf"
    AVRO = "avro"
    FUNCTION = "function"
    """Anything: a function of the user's reads it."""


class Engine(StrEnum):
    """What carries the batches out."""

    EMBEDDED = "embedded"
    """In the ingest process, by delta-rs."""
    SPARK = "spark"


class Strategy(StrEnum):
    """How changes get into a merged table."""

    AUTO = "auto"
    COPY_ON_WRITE = "copy-on-write"
    """Rewrite the files that hold the changed rows."""
    CHANGE_LOG = "change-log"
    """Append the changes beside the table; fold them in later."""


class Evolution(StrEnum):
    """What may happen to the table's columns when the declared ones change."""

    REFUSE = "refuse"
    ADD = "add-columns"
    WIDEN = "widen"
    """Add columns, and give a column a type that holds all of its old values."""


class Truncation(StrEnum):
    """What a truncation of the source table does."""

    STOP = "stop"
    IGNORE = "ignore"
    APPLY = "apply"
    """Delete every row."""


EMBEDDED = "embedded"
"""In place of a registry's URL: the one of where the table runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """How a record's value becomes columns.

    Attributes:
        registry: URL of the schema registry, Confluent's API, or `EMBEDDED`; empty where none is
            used.
        subject: in the registry, for the columns; else ``<topic>-value``.
        descriptor: path or URL of a ``FileDescriptorSet`` or an Avro schema, where it is not from
            a registry.
        message: full name of the protobuf message; else the schema's first.
        function: ``module:function``, or the name of an entry point of `penstock.decoders`.
    """

    format: Format = Format.JSON
    registry: str = ""
    subject: str = ""
    descriptor: str = ""
    message: str = ""
    function: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column read from the record's value by its name.

    Attributes:
        type: as `types.parse` reads it.
    """

    name: str
    type: str
    nullable: bool = True

    @property
    def kind(self) -> types.Type:
        """Return the type's value."""
        return types.parse(self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedColumn:
    """A column made from others.

    Attributes:
        expression: SQL over the table's columns and the record's coordinates: ``cluster``,
            ``topic``, ``partition``, ``offset``, ``key``, ``record_id``, ``event_time``. A column
            that is declared hides a coordinate of its name; ``kafka.<coordinate>`` always works.
        type: what the expression gives; empty for whatever it gives.
    """

    name: str
    expression: str
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """How records change the rows of a merged table.

    Attributes:
        primary_key: columns that name a row.
        order_by: columns that say which of two records of a key is newer, and after them the
            record's offset. Not for ``merge-cdc``: there the source's own order decides.
        namespace: only events of this ``ns`` are for this table; empty takes every event.
        tombstones_ms: how long a deleted key is remembered, so that a late older event does not
            bring its row back.
    """

    primary_key: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    namespace: str = ""
    strategy: Strategy = Strategy.AUTO
    truncation: Truncation = Truncation.STOP
    tombstones_ms: int = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Where the rows from before the first record come from.

    Attributes:
        snapshot: path or URL of a Parquet directory or a Delta table; empty for none: the topic
            holds everything, as with a connector's own initial snapshot.
        taken_at_ms: when the snapshot was begun, ms since 1970; records are read from ``margin_ms``
            before it. 0 reads the topic from its beginning.
        margin_ms: for clocks that differ.
    """

    snapshot: str = ""
    taken_at_ms: int = 0
    margin_ms: int = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """What becomes of records that cannot be rows.

    Attributes:
        path: of their table; else the table's path and ``_dead_letters``.
        max_ratio: above this share of the latest records the table stops.
    """

    path: str = ""
    max_ratio: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """How the table's files are kept few and large.

    Attributes:
        commits: small files are joined after this many commits.
        target_bytes: of a file.
        retention_ms: how long files that were replaced stay for readers of older versions, and
            for the change feed.
    """

    commits: int = 120
    target_bytes: int = 128 * 2**20
    retention_ms: int = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One onboarded table.

    Attributes:
        environment: of the topic.
        path: where the Delta table is: a URL, or a path; relative ones are below the lake
            directory.
        clusters: the topic's clusters to read; none means every one.
        columns: what to read; none means what the decoder's schema has.
        latency_ms: a record is in the table at most this long after it can be read; 0 for as soon
            as possible.
        archive: path or URL below which older records of the topic are kept; empty for none.
        change_feed: whether the table keeps a change data feed.
    """

    name: str
    topic: str
    environment: str
    owner: str
    path: str
    mode: TableMode = TableMode.APPEND
    clusters: tuple[str, ...] = ()
    decoder: Decoder = field(default_factory=Decoder)
    columns: tuple[Column, ...] = ()
    derived: tuple[DerivedColumn, ...] = ()
    partition_by: tuple[str, ...] = ()
    latency_ms: int = 1_000
    engine: Engine = Engine.EMBEDDED
    merge: Merge = field(default_factory=Merge)
    evolution: Evolution = Evolution.REFUSE
    change_feed: bool = False
    archive: str = ""
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    dead_letters: DeadLetters = field(default_factory=DeadLetters)
    compaction: Compaction = field(default_factory=Compaction)
    description: str = ""

    @property
    def ident(self) -> str:
        """Return ``environment/name``, unique in the estate."""
        return f"{self.environment}/{self.name}"
