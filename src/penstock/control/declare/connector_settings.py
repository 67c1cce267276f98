"""Connector documents as Connect's own settings.

PostgresSpec | MongoDbSpec | none ─▶ Settings(class, fixed, defaults, topics)

Sources run Debezium with our transform, so that whatever the source, its records are the same
standard events. What that needs is fixed: a document cannot set it otherwise. Kafka's topic
auto-creation is off, so the topics a source writes are told here by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.control.declare.connector_documents import (
    ConnectorDocument,
    MongoDbSpec,
    PostgresSpec,
)
from penstock.control.declare.places import Loc
from penstock.model import connectors

__all__ = ["Settings", "Written", "settle_connector", "slot_name"]

_POSTGRES = "io.debezium.connector.postgresql.PostgresConnector"
_MONGODB = "io.debezium.connector.mongodb.MongoDbConnector"
_SNOWFLAKE = "com.snowflake.kafka.connector.SnowflakeSinkConnector"

_STANDARD_EVENTS = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "transforms.event.type": "org.penstock.connect.StandardEvent",
    "tombstones.on.delete": "false",
}
_TRUTHFUL_POSTGRES = {
    # Exact, and able to say NaN and Infinity, at which `precise` fails.
    "decimal.handling.mode": "string",
    "time.precision.mode": "adaptive",
    "interval.handling.mode": "string",
    "hstore.handling.mode": "map",
    "binary.handling.mode": "bytes",
    "plugin.name": "pgoutput",
    "publication.autocreate.mode": "filtered",
    # Debezium's own default leaves truncates out.
    "skipped.operations": "none",
    # Logical messages are no rows; the one below would be an event.
    "message.prefix.exclude.list": ".*",
}
# While its own tables are quiet, only a transaction it sees moves the slot on; without one the
# server keeps its log for ever. The driver's own way (`lsn.flush.mode`) runs ahead of the offset
# that Connect has stored, and the next start fails.
_HEARTBEAT_QUERY = "SELECT pg_logical_emit_message(true, 'penstock-heartbeat', '')"
# Connect stores no offset for a record that a transform drops, so heartbeats pass the transforms by
# and are written. Theirs is the only topic that is not declared: Connect makes it.
_HEARTBEATS = {
    "predicates": "heartbeat",
    "predicates.heartbeat.type": (
        "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
    ),
    "predicates.heartbeat.pattern": r"__debezium-heartbeat\..*",
    "topic.creation.default.partitions": "1",
    "topic.creation.default.replication.factor": "-1",
    "topic.creation.default.cleanup.policy": "compact",
}
_NOT_IN_A_TOPIC_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A topic the connector writes or reads, and where the document says so."""

    topic: str
    loc: Loc


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a document becomes.

    Attributes:
        fixed: settings no document may give.
        defaults: settings that hold where ``config`` says nothing.
    """

    connector_class: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    topics: tuple[Written, ...] = ()


def settle_connector(model: ConnectorDocument) -> Settings:
    """Return the settings of the document, as far as it has the part they come from."""
    match model.type:
        case connectors.Kind.POSTGRES if model.postgres:
            return _postgres(model.name, model.postgres)
        case connectors.Kind.MONGODB if model.mongodb:
            return _mongodb(model.name, model.mongodb)
        case connectors.Kind.SNOWFLAKE:
            named = _named(model)
            fixed = {"topics": ",".join(one.topic for one in named)}
            return Settings(connector_class=_SNOWFLAKE, fixed=fixed, topics=named)
        case _:
            return Settings(connector_class=model.connector_class, topics=_named(model))


def slot_name(name: str, spec: PostgresSpec) -> str:
    """Return the replication slot of a connector of this name."""
    return spec.slot or f"penstock_{name.replace('-', '_')}"


def _postgres(name: str, spec: PostgresSpec) -> Settings:
    slot = slot_name(name, spec)
    signals = {"signal.data.collection": spec.signals} if spec.signals else {}
    ignored = {"transforms.event.ignored.namespaces": spec.signals} if spec.signals else {}
    fixed = {
        **_STANDARD_EVENTS,
        **_TRUTHFUL_POSTGRES,
        **_transforms(spec.topic),
        "transforms.event.timezone": spec.timezone,
        "database.hostname": spec.host,
        "database.port": str(spec.port),
        "database.dbname": spec.database,
        "database.user": spec.user,
        "database.password": spec.password,
        "topic.prefix": spec.prefix or name,
        "table.include.list": _patterns([*spec.tables, *([spec.signals] if spec.signals else [])]),
        "slot.name": slot,
        "publication.name": spec.publication or slot,
        "snapshot.mode": spec.snapshot,
        "heartbeat.interval.ms": str(spec.heartbeat),
        **signals,
    }
    return Settings(
        connector_class=_POSTGRES,
        fixed=fixed,
        defaults={
            "heartbeat.action.query": _HEARTBEAT_QUERY,
            # A database that restarts is back within seconds; Debezium's own wait is ten.
            "retriable.restart.connector.wait.ms": "2000",
            **ignored,
        },
        topics=_topics(("postgres", "tables"), spec.tables, spec.prefix or name, spec.topic),
    )


def _mongodb(name: str, spec: MongoDbSpec) -> Settings:
    fixed = {
        **_STANDARD_EVENTS,
        **_transforms(spec.topic),
        "mongodb.connection.string": spec.connection,
        "topic.prefix": spec.prefix or name,
        "collection.include.list": _patterns(spec.collections),
        "capture.mode": spec.capture,
        "snapshot.mode": spec.snapshot,
        "heartbeat.interval.ms": str(spec.heartbeat),
    }
    return Settings(
        connector_class=_MONGODB,
        fixed=fixed,
        topics=_topics(
            ("mongodb", "collections"), spec.collections, spec.prefix or name, spec.topic
        ),
    )


def _transforms(topic: str | None) -> Mapping[str, str]:
    """Return the chain of transforms, which heartbeats pass by."""
    route = {
        "transforms.topic.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.topic.regex": ".*",
        "transforms.topic.replacement": topic or "",
    }
    names = ["event"] if topic is None else ["event", "topic"]
    spared = {
        f"transforms.{name}.{key}": value
        for name in names
        for key, value in (("predicate", "heartbeat"), ("negate", "true"))
    }
    return {
        **_HEARTBEATS,
        "transforms": ",".join(names),
        **spared,
        **(route if topic is not None else {}),
    }


def _patterns(names: Iterable[str]) -> str:
    """Return Debezium's list of regular expressions that match exactly these names."""
    return ",".join(dict.fromkeys(re.escape(name) for name in names))


def _topics(
    loc: Loc, sources: Iterable[str], prefix: str, topic: str | None
) -> tuple[Written, ...]:
    if topic is not None:
        return (Written(topic=topic, loc=(loc[0], "topic")),)
    return tuple(
        Written(topic=_NOT_IN_A_TOPIC_NAME.sub("_", f"{prefix}.{source}"), loc=(*loc, number))
        for number, source in enumerate(sources)
    )


def _named(model: ConnectorDocument) -> tuple[Written, ...]:
    return tuple(
        Written(topic=topic, loc=("topics", number)) for number, topic in enumerate(model.topics)
    )
