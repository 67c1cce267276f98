"""What one connector document can get wrong by itself, beyond the shape of its fields.

ConnectorDocument, Settings ─▶ faults: parts, class, tasks, topics, names said twice, config
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from penstock.control.declare.connector_documents import ConnectorDocument
from penstock.control.declare.connector_secrets import explain_open_secret
from penstock.control.declare.connector_settings import Settings, slot_name
from penstock.control.declare.places import Loc
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model.connectors import Kind

__all__ = ["check_document"]

_Entry: TypeAlias = Entry[ConnectorDocument]

_OWN_FIELDS = {"name": "name", "connector.class": "connector-class", "tasks.max": "tasks"}
"""The document's field by the setting it stands for, for every type."""
_SOURCES = {Kind.POSTGRES, Kind.MONGODB}
_SNOWFLAKE_NEEDS = (
    "snowflake.url.name",
    "snowflake.user.name",
    "snowflake.private.key",
    "snowflake.database.name",
    "snowflake.schema.name",
)
_MAX_SLOT_LENGTH = 63


def check_document(entry: Entry[ConnectorDocument], settings: Settings) -> Iterator[Fault]:
    """Yield what is wrong with the document."""
    yield from _check_parts(entry)
    yield from _check_class(entry)
    yield from _check_tasks(entry)
    yield from _check_topics(entry)
    yield from _check_slot(entry)
    yield from _check_repeats(entry)
    yield from _check_config(entry, settings)


def _check_parts(entry: _Entry) -> Iterator[Fault]:
    model, document = entry.model, entry.document
    for kind, part in ((Kind.POSTGRES, model.postgres), (Kind.MONGODB, model.mongodb)):
        if kind is model.type and part is None and not entry.partial:
            what = f"this {kind} connector does not say its source"
            yield document.fault(("type",), what, f"Add {kind}: with where it is and what to read.")
        if kind is not model.type and part is not None:
            what = f"{kind}: is not for a {model.type} connector"
            yield document.fault((kind.value,), what, f"Remove it, or write type: {kind}.")


def _check_class(entry: _Entry) -> Iterator[Fault]:
    model, document = entry.model, entry.document
    if model.type is not Kind.CUSTOM and model.connector_class:
        what = f"connector-class: a {model.type} connector has its own class"
        yield document.fault(("connector-class",), what, "Remove it, or write type: custom.")
    if model.type is Kind.CUSTOM and not model.connector_class and not entry.partial:
        what = "this custom connector has no class"
        yield document.fault(("type",), what, "Add connector-class: with its Java class.")


def _check_tasks(entry: _Entry) -> Iterator[Fault]:
    model = entry.model
    if model.type in _SOURCES and model.tasks > 1:
        what = f"tasks: a {model.type} connector reads its source in order, with one task"
        yield entry.document.fault(("tasks",), what, "Remove it, or write 1.")


def _check_topics(entry: _Entry) -> Iterator[Fault]:
    model, document = entry.model, entry.document
    if model.type in _SOURCES and model.topics:
        what = f"topics: those of a {model.type} connector follow from its {model.type}:"
        yield document.fault(
            ("topics",), what, f"Remove it; set prefix: or topic: in {model.type}:."
        )
    if model.type is not Kind.SNOWFLAKE or entry.partial:
        return
    if not model.topics:
        yield document.fault(("type",), "this snowflake connector reads no topic", "Add topics:.")
    for key in _SNOWFLAKE_NEEDS:
        if key not in model.config:
            what = f"config: a snowflake connector needs {key}"
            yield document.fault(("config",), what, f"Add {key}: to config:.")


def _check_slot(entry: _Entry) -> Iterator[Fault]:
    model = entry.model
    if model.type is Kind.POSTGRES and model.postgres:
        slot = slot_name(model.name, model.postgres)
        if len(slot) > _MAX_SLOT_LENGTH:
            what = f"postgres: its slot would be {slot}, which is too long for PostgreSQL"
            step = f"Add slot: to postgres:, at most {_MAX_SLOT_LENGTH} characters."
            yield entry.document.fault(("postgres",), what, step)


def _check_repeats(entry: _Entry) -> Iterator[Fault]:
    model = entry.model
    yield from _repeats(entry, ("topics",), model.topics)
    if model.postgres:
        yield from _repeats(entry, ("postgres", "tables"), model.postgres.tables)
    if model.mongodb:
        yield from _repeats(entry, ("mongodb", "collections"), model.mongodb.collections)


def _repeats(entry: _Entry, loc: Loc, names: Sequence[str]) -> Iterator[Fault]:
    for number, name in enumerate(names):
        if name in names[:number]:
            what = f"{'.'.join(map(str, loc))}: {name} is named twice"
            yield entry.document.fault((*loc, number), what, "Remove one.")


def _check_config(entry: _Entry, settings: Settings) -> Iterator[Fault]:
    for key, value in entry.model.config.items():
        loc = ("config", key)
        if key in _OWN_FIELDS:
            step = f"Write {_OWN_FIELDS[key]}: instead."
            yield entry.document.fault(loc, f"config.{key}: has a field of its own", step)
        elif key in settings.fixed:
            what = f"config.{key}: follows from the rest of this {entry.model.type} connector"
            step = "Remove it; the connector's own fields say what can be chosen."
            yield entry.document.fault(loc, what, step)
        problem = explain_open_secret(key, value)
        if problem:
            step = "Write a reference: ${file:name.properties:key} or ${env:NAME}."
            yield entry.document.fault(loc, f"config.{key}: {problem}", step)
