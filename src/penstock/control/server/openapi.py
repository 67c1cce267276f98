"""The OpenAPI 3.1 document, made from the same descriptors as the routes.

Endpoint… ─▶ paths · message descriptors ─▶ schemas
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from penstock.api._gen import penstock_pb2 as pb
from penstock.control.server.endpoints import Endpoint

__all__ = ["document"]

Json: TypeAlias = dict[str, Any]
# Any: protobuf's stubs know two classes of each, which are one at run time.
Message: TypeAlias = Any
Field: TypeAlias = Any

_PARAMETER = re.compile(r"\{(\w+)\}")
_SCALARS: dict[int, Json] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    # Protobuf's JSON has 64-bit numbers as text, since JavaScript cannot hold them.
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
}
_ERROR: Json = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "kind": {"type": "string"},
                "message": {"type": "string"},
                "exit_code": {"type": "integer"},
                "faults": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
            },
        }
    },
}


def document(endpoints: Iterable[Endpoint], *, version: str) -> Json:
    """Return the document.

    Args:
        endpoints: what can be called.
        version: of Penstock.
    """
    paths: Json = {}
    schemas: Json = {"Error": _ERROR}
    _add_schema(pb.Fault.DESCRIPTOR, schemas)
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.verb.lower()] = _operation(endpoint)
        _add_schema(endpoint.request.DESCRIPTOR, schemas)
        _add_schema(endpoint.response.DESCRIPTOR, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock's control plane", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint) -> Json:
    in_path = set(_PARAMETER.findall(endpoint.path))
    media = "application/x-ndjson" if endpoint.streams else "application/json"
    response = {"$ref": f"#/components/schemas/{endpoint.response.DESCRIPTOR.name}"}
    operation: Json = {
        "operationId": endpoint.name,
        "tags": [endpoint.service.rpartition(".")[2]],
        "parameters": [
            _parameter(field, in_path=field.name in in_path)
            for field in endpoint.request.DESCRIPTOR.fields
            if field.name in in_path or (not endpoint.has_body and _fits_query(field))
        ],
        "responses": {
            "200": {"description": "Done.", "content": {media: {"schema": response}}},
            "default": {
                "description": "Not done; the message says what to do next.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if endpoint.has_body:
        body = {"$ref": f"#/components/schemas/{endpoint.request.DESCRIPTOR.name}"}
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if endpoint.operates:
        operation["security"] = [{"token": []}]
    return operation


def _fits_query(field: Field) -> bool:
    return field.message_type is None


def _parameter(field: Field, *, in_path: bool) -> Json:
    return {
        "name": field.name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "schema": _field_schema(field),
    }


def _add_schema(message: Message, schemas: Json) -> None:
    if message.name in schemas:
        return
    schemas[message.name] = {
        "type": "object",
        "properties": {field.name: _field_schema(field) for field in message.fields},
    }
    for field in message.fields:
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            _add_schema(field.message_type, schemas)
        elif field.message_type is not None:
            value = field.message_type.fields_by_name["value"]
            if value.message_type is not None:
                _add_schema(value.message_type, schemas)


def _field_schema(field: Field) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        return {"type": "object", "additionalProperties": _single(value)}
    return {"type": "array", "items": _single(field)} if field.is_repeated else _single(field)


def _single(field: Field) -> Json:
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.message_type is not None:
        return {"$ref": f"#/components/schemas/{field.message_type.name}"}
    return _SCALARS[field.type]
