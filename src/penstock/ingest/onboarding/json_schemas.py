"""A JSON Schema of a registry as columns: what it promises, and no more.

schema's text ─propose─▶ Proposal
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from penstock.errors import ConfigError
from penstock.ingest.onboarding.proposals import Column, Proposal, named, with_day
from penstock.model import types

__all__ = ["propose"]

_SIMPLE = {
    "boolean": types.Primitive.BOOLEAN,
    "integer": types.Primitive.LONG,
    "number": types.Primitive.DOUBLE,
    "string": types.Primitive.STRING,
}
_FORMATS = {"date-time": types.Primitive.TIMESTAMP, "date": types.Primitive.DATE}
_DEPTH = 16


def propose(proposal: Proposal, text: str) -> Proposal:
    """Return the proposal with the columns of the schema's properties.

    Raises:
        ConfigError: when the schema describes no object.
    """
    schema = _loaded(text)
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise ConfigError("the JSON Schema has no properties. Propose from records instead.")
    required = schema.get("required", [])
    columns, left_out = [], {}
    for name, part in properties.items():
        kind = _type(part, schema, depth=0)
        if kind is None:
            left_out[name] = "its schema allows values of several types, or of none that is known"
        else:
            nullable = name not in required or _may_be_null(part)
            columns.append(Column(name=name, type=str(kind), nullable=nullable))
    kept, more = named(columns)
    head = [
        *proposal.head,
        "Records are read as plain JSON: with a registry's five bytes before it they are poison.",
        "Read it, change it, and try it on real records: penstock table check FILE.",
    ]
    return with_day(replace(proposal, columns=kept, left_out={**left_out, **more}, head=head))


def _loaded(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the schema is no JSON: {error}. Register it anew.") from error
    return schema if isinstance(schema, dict) else {}


def _type(part: Any, whole: Mapping[str, Any], *, depth: int) -> types.Type | None:
    part = _referred(part, whole)
    if not isinstance(part, dict) or depth > _DEPTH:
        return None
    kinds = [kind for kind in _kinds(part) if kind != "null"]
    if len(kinds) != 1:
        return None
    match kinds[0]:
        case "array":
            element = _type(part.get("items"), whole, depth=depth + 1)
            return types.Array(element=element) if element else None
        case "object":
            return _object(part, whole, depth=depth)
        case "string" if part.get("format") in _FORMATS:
            return _FORMATS[part["format"]]
        case kind:
            return _SIMPLE.get(kind)


def _object(part: Mapping[str, Any], whole: Mapping[str, Any], *, depth: int) -> types.Type | None:
    properties = part.get("properties")
    if isinstance(properties, dict) and properties:
        found = {name: _type(each, whole, depth=depth + 1) for name, each in properties.items()}
        fields = [types.Field(name=name, type=kind) for name, kind in found.items() if kind]
        made = types.Struct(fields=tuple(fields)) if len(fields) == len(found) else None
        return made if made and _survives(made) else None
    value = _type(part.get("additionalProperties"), whole, depth=depth + 1)
    return types.Map(key=types.Primitive.STRING, value=value) if value else None


def _referred(part: Any, whole: Mapping[str, Any]) -> Any:
    for _ in range(_DEPTH):
        if not isinstance(part, dict) or "$ref" not in part:
            return part
        found: Any = whole
        for step in str(part["$ref"]).removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        part = found
    return None


def _kinds(part: Mapping[str, Any]) -> Iterator[str]:
    kind = part.get("type")
    yield from kind if isinstance(kind, list) else [kind] if isinstance(kind, str) else []


def _may_be_null(part: Any) -> bool:
    return not isinstance(part, dict) or "$ref" in part or "null" in _kinds(part)


def _survives(kind: types.Type) -> bool:
    try:
        return types.parse(str(kind)) == kind
    except ValueError:
        return False
