"""JSON Schemas of the estate's documents, for editors; made from the models that validate.

KINDS ─▶ {"topic.schema.json": {…}, …} ─▶ schemas/, `penstock schema`, the reference page

A schema says what is wrong with a document while it is typed. It never says more than validation
does, and much less: it knows one document at a time.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from penstock.control.declare.documents import KINDS

__all__ = ["all_schemas", "schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _EditorSchema(GenerateJsonSchema):
    """Leaves out what only clutters an editor's hints: titles, and null for "not given"."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("default", ...) in (None, "", [], {}):
            del made["default"]
        return made

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the library's
        return False


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of document, its own fields first."""
    model = KINDS[kind]
    made = model.model_json_schema(schema_generator=_EditorSchema)
    own = [name.replace("_", "-") for name in model.__annotations__]
    fields = made["properties"]
    made["properties"] = {name: fields[name] for name in dict.fromkeys([*own, *fields])}
    for field in model.model_fields.values():
        # pydantic drops the docstring of a field that is a reference with a default.
        if field.description:
            fields[field.alias].setdefault("description", field.description)
    made["title"] = kind
    return {"$schema": _DIALECT, **made}


def all_schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by file name; ``estate.schema.json`` is for a file of any kinds."""
    files = {f"{_file_name(kind)}.schema.json": schema(kind) for kind in KINDS}
    cases = [
        {
            "if": {"properties": {"kind": {"const": made["title"]}}},
            "then": {"$ref": name},
        }
        for name, made in files.items()
    ]
    estate = {
        "$schema": _DIALECT,
        "title": "A document of a Penstock estate",
        "type": "object",
        "properties": {"kind": {"enum": list(KINDS)}},
        "required": ["kind"],
        "allOf": cases,
    }
    return {"estate.schema.json": estate, **files}


def _file_name(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind).lower()
