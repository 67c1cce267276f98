"""The Connector document: one pydantic model, with a part for each kind of source.

Judges a document by itself; what needs another document is the resolver's.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from penstock.control.declare.connector_secrets import explain_open_secret, is_reference
from penstock.control.declare.fields import ConfigValue, Count, DnsName, Names, Period, TopicName
from penstock.control.declare.part import Part
from penstock.model import connectors

__all__ = ["ConnectorDocument", "MongoDbSpec", "PostgresSpec"]

_QUALIFIED = re.compile(r"[^\s.,\"]+\.[^\s.,\"]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_SLOT = re.compile(r"[a-z0-9_]{1,63}")
_MAX_PORT = 65_535


_REFERENCES = "${file:name.properties:key} or ${env:NAME}"


def _reference(value: str) -> str:
    if not is_reference(value):
        raise ValueError(f"a secret must not stand in an estate; write {_REFERENCES}")
    return value


def _connection(value: str) -> str:
    if is_reference(value):
        return value
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("it is no connection string; write mongodb://host:port/?replicaSet=…")
    problem = explain_open_secret("connection", value)
    if problem:
        raise ValueError(f"{problem}; write {_REFERENCES} for the password, or for all of it")
    return value


def _qualified(value: str) -> str:
    if not _QUALIFIED.fullmatch(value):
        raise ValueError(f"{value!r} is no full name; write schema.table, or database.collection")
    return value


def _slot(value: str) -> str:
    if not _SLOT.fullmatch(value):
        raise ValueError(
            f"PostgreSQL refuses the slot name {value!r}; write 1 to 63 of a-z, 0-9 and _"
        )
    return value


def _identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"{value!r} is no plain name; write at most 63 letters, digits and _")
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Reference = Annotated[str, AfterValidator(_reference), Field(examples=["${env:DB_PASSWORD}"])]
QualifiedName = Annotated[str, AfterValidator(_qualified)]
QualifiedNames = Annotated[
    list[QualifiedName],
    BeforeValidator(_one_or_more, json_schema_input_type=QualifiedName | list[QualifiedName]),
    Field(min_length=1),
]
Port = Annotated[int, Field(strict=True, ge=1, le=_MAX_PORT)]
Text = Annotated[str, Field(min_length=1)]
SnapshotMode: TypeAlias = Literal["initial", "no_data", "when_needed", "always", "initial_only"]
TenSeconds = Annotated[Period, Field(json_schema_extra={"default": "10s"})]


class PostgresSpec(Part):
    """A PostgreSQL database whose tables' changes become records."""

    host: Text
    """Of the server."""
    port: Port = 5432
    """Of the server."""
    database: Text
    """The one database."""
    user: Text
    """A role with `REPLICATION` that may read the tables and own the publication."""
    password: Reference
    """`${file:name.properties:key}` or `${env:NAME}`, which the Connect worker resolves."""
    tables: QualifiedNames
    """The tables, as `schema.table`."""
    prefix: TopicName | None = None
    """What its topics' names begin with: `prefix.schema.table`; else the connector's name."""
    topic: TopicName | None = None
    """One topic for every table, instead of one a table."""
    slot: Annotated[str, AfterValidator(_slot)] | None = None
    """Its replication slot, its own on the server; else `penstock_` and the connector's name."""
    publication: Annotated[str, AfterValidator(_identifier)] | None = None
    """Its publication, made and kept for exactly these tables; else named as the slot."""
    snapshot: SnapshotMode = "initial"
    """Whether rows from before the first change are read, as Debezium has it."""
    heartbeat: TenSeconds = 10_000
    """How often the slot moves on while the tables are quiet, so that the server can free its log."""
    signals: QualifiedName | None = None
    """A table through which snapshots are asked for; its own rows become no records."""
    timezone: Text = "UTC"
    """The zone that timestamps without one are meant in; `none` leaves them without."""


class MongoDbSpec(Part):
    """MongoDB collections whose changes become records."""

    connection: Annotated[str, AfterValidator(_connection)]
    """Connection string: a reference, or one without user and password."""
    collections: QualifiedNames
    """The collections, as `database.collection`."""
    prefix: TopicName | None = None
    """What its topics' names begin with: `prefix.database.collection`; else the connector's name."""
    topic: TopicName | None = None
    """One topic for every collection, instead of one a collection."""
    snapshot: SnapshotMode = "initial"
    """Whether documents from before the first change are read, as Debezium has it."""
    capture: Literal["change_streams_update_full", "change_streams_update_full_with_pre_image"] = (
        "change_streams_update_full"
    )
    """How updates are read; each brings the whole document."""
    heartbeat: TenSeconds = 10_000
    """How often its place moves on while the collections are quiet."""


class ConnectorDocument(Part):
    """What Kafka Connect runs to bring a source into topics, or topics into a sink."""

    kind: Literal["Connector"]
    name: DnsName
    """Unique in its environment; also its name in Connect."""
    owner: DnsName
    """The one team that answers for it."""
    description: str = ""
    """What it is for."""
    cluster: str
    """The cluster whose Connect workers run it, and whose topics it writes or reads. Its
    environment is the connector's."""
    type: connectors.Kind
    """What it connects."""
    connector_class: str = ""
    """Java class of a `custom` connector; the other types have their own."""
    tasks: Count = 1
    """At most so many; `postgres` and `mongodb` have one."""
    state: connectors.ConnectorState = connectors.ConnectorState.RUNNING
    """What it is to do."""
    topics: Names = Field(default_factory=list)
    """Topics that a `snowflake` connector reads, or a `custom` one writes or reads."""
    postgres: PostgresSpec | None = None
    """The source of a `postgres` connector."""
    mongodb: MongoDbSpec | None = None
    """The source of a `mongodb` connector."""
    config: dict[str, ConfigValue] = Field(default_factory=dict)
    """Any other setting, by Connect's names. Secrets stand as `${file:name.properties:key}` or
    `${env:NAME}`, never as they are."""
