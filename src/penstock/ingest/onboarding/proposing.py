"""Proposals by where they come from: a topic's records, a schema, a table of a database.

RAW ─infer─┐
schema ────┼─▶ Proposal
SourceTable┘
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigError, DataError
from penstock.ingest import arrow_types
from penstock.ingest.onboarding.inference import Inferred, infer
from penstock.ingest.onboarding.proposals import Column, Proposal, named, with_day
from penstock.ingest.onboarding.source_types import SourceTable, columns_of
from penstock.model import tables

__all__ = ["from_records", "from_schema", "from_source"]

_ENVELOPE = {"oc", "ns", "ot", "pk", "va"}
_GUESSED = (
    "Types are guesses: what they rest on stands beside them. A record without a column that has",
    "nullable: false would be a dead letter.",
)
_CHECK = "Read it, change it, and try it on real records: penstock table check FILE."


def from_records(proposal: Proposal, raw: pa.Table) -> Proposal:
    """Return the proposal with columns that the records' values fit.

    Change events, with ``oc ns ot pk va``, give a table that is merged by their key.

    Args:
        proposal: with the names, and a first line on where the records come from.
        raw: as `records.RAW`.

    Raises:
        DataError: when none of the values is a JSON object.
    """
    values = raw["value"].to_pylist()
    events = [event for event in map(_event, values) if event]
    if events and len(events) * 2 > len(values):
        return _from_events(proposal, events)
    found = infer(values)
    if not found.objects:
        raise DataError(
            f"none of {len(values)} records of {proposal.topic} is a JSON object. Name what they "
            "are: --format protobuf or avro with --registry, or write the file by hand."
        )
    return with_day(_with_columns(proposal, found))


def from_schema(proposal: Proposal, schema: pa.Schema) -> Proposal:
    """Return the proposal with the columns that a decoder reads."""
    columns = [
        Column(
            name=field.name, type=str(arrow_types.from_arrow(field.type)), nullable=field.nullable
        )
        for field in schema
    ]
    kept, left_out = named(columns)
    head = [*proposal.head, _CHECK]
    return with_day(replace(proposal, columns=kept, left_out=left_out, head=head))


def from_source(proposal: Proposal, table: SourceTable) -> Proposal:
    """Return the proposal of a table that is kept equal to one of a database.

    Raises:
        ConfigError: when the table has no primary key that a table of the lake can have.
    """
    columns, without_type = columns_of(table)
    kept, left_out = named(columns)
    missing = [name for name in table.primary_key if name not in {c.name for c in kept}]
    if not table.primary_key or missing:
        what = f"its primary key has {', '.join(missing)}" if missing else "it has no primary key"
        raise ConfigError(
            f"{table.name} cannot be merged: {what}. Give the table a primary key of plain names."
        )
    return replace(
        proposal,
        mode=tables.TableMode.MERGE_CDC,
        columns=kept,
        left_out={**without_type, **left_out},
        primary_key=table.primary_key,
        namespace=table.name,
        head=[
            *proposal.head,
            "The topic is the connector's: declare both, kind: Topic and kind: Connector.",
            _CHECK,
        ],
        notes={"primary-key": "that of the source", "namespace": "events of other tables pass by"},
    )


def _with_columns(proposal: Proposal, found: Inferred) -> Proposal:
    kept, left_out = named(found.columns)
    return replace(
        proposal,
        columns=kept,
        left_out={**found.left_out, **left_out},
        head=[*proposal.head, *_GUESSED, _CHECK],
    )


def _from_events(proposal: Proposal, events: Sequence[Mapping[str, Any]]) -> Proposal:
    spaces = Counter(str(event["ns"]) for event in events)
    namespace, _ = spaces.most_common(1)[0]
    own = [event for event in events if str(event["ns"]) == namespace]
    keys = list(own[0]["pk"])
    rows = [{**event["pk"], **(event["va"] or {})} for event in own if event["oc"] in {"I", "U"}]
    found = _with_columns(
        proposal, infer(json.dumps(row).encode() for row in rows or [own[0]["pk"]])
    )
    columns = [replace(column, nullable=column.name not in keys) for column in found.columns]
    others = ", ".join(sorted(spaces.keys() - {namespace}))
    return replace(
        found,
        mode=tables.TableMode.MERGE_CDC,
        columns=columns,
        primary_key=keys,
        namespace=namespace,
        notes={
            "primary-key": "pk of the events",
            "namespace": f"also seen: {others}" if others else "",
        },
    )


def _event(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(value) if value else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found.keys() >= _ENVELOPE:
        return None
    return found if isinstance(found["pk"], dict) else None
