"""REST, generically: every endpoint's handler behind its verb and path, as JSON.

    path, query, body ─▶ request message ─▶ admitted? ─▶ handler ─▶ JSON · one JSON a line
                                              └─ PenstockError ─▶ HTTP status, {"error": …}

Field names are those of the ``.proto``, and every field is there, so that a shell script can rely
on it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from penstock.control.server.access import Access, Unauthenticated
from penstock.control.server.endpoints import Endpoint
from penstock.errors import (
    ConfigError,
    Conflict,
    NotFound,
    NotReady,
    PenstockError,
    Refused,
)

__all__ = ["error_response", "read_request", "render", "routes"]

# A kind stands before its base.
_STATUS: dict[type[PenstockError], int] = {
    NotFound: 404,
    ConfigError: 400,
    Unauthenticated: 401,
    Conflict: 409,
    Refused: 412,
    NotReady: 503,
}
_NDJSON = "application/x-ndjson"


def routes(endpoints: Iterable[Endpoint], access: Access) -> list[Route]:
    """Return a route an endpoint; the most specific paths first."""
    # `/v1/topics/{name}` would also match `/v1/topics/x:empty`: longer paths come first.
    ordered = sorted(endpoints, key=lambda endpoint: -len(endpoint.path))
    return [
        Route(endpoint.path, _serve(endpoint, access), methods=[endpoint.verb], name=endpoint.name)
        for endpoint in ordered
    ]


async def read_request(endpoint: Endpoint, request: Request) -> Message:
    """Return the request message that path, query and body make.

    Raises:
        ConfigError: when they name what the message has not, or a value does not fit.
    """
    message = endpoint.request()
    try:
        if endpoint.has_body and (body := await request.body()):
            json_format.ParseDict(_json_object(body), message)
        fields: dict[str, Any] = {}
        for name in request.query_params:
            fields[name] = _query_value(message, name, request.query_params.getlist(name))
        fields.update(request.path_params)
        json_format.ParseDict(fields, message)
    except (json_format.ParseError, ValueError) as error:
        raise ConfigError(
            f"{endpoint.verb} {endpoint.path} does not take that: {error}; see /openapi.json"
        ) from error
    return message


def render(message: Message) -> str:
    """Return the message as JSON in one line, with the names of the ``.proto``."""
    return json_format.MessageToJson(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=None,
    )


def error_response(error: PenstockError) -> Response:
    """Return the error as HTTP has it."""
    faults = [asdict(fault) for fault in error.faults] if isinstance(error, ConfigError) else []
    return JSONResponse(
        {
            "error": {
                "kind": type(error).__name__,
                "message": error.message,
                "exit_code": error.exit_code,
                "faults": faults,
            }
        },
        status_code=next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500),
        headers={"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None,
    )


def _serve(endpoint: Endpoint, access: Access) -> Any:
    handler: Any = endpoint.handler

    async def serve(request: Request) -> Response:
        try:
            caller = access.admit(
                request.headers.get("authorization", ""), operates=endpoint.operates
            )
            message = await read_request(endpoint, request)
            if endpoint.streams:
                return await _stream(endpoint, handler(message, caller))
            return Response(render(await handler(message, caller)), media_type="application/json")
        except PenstockError as error:
            return error_response(error)

    return serve


async def _stream(endpoint: Endpoint, messages: AsyncIterator[Message | bytes]) -> Response:
    # The first message decides between a stream and an error with a status of its own.
    first = await anext(messages, None)

    async def lines() -> AsyncIterator[str]:
        # Whatever ends the response ends the handler, so that it gives back what it holds.
        async with contextlib.aclosing(messages):  # type: ignore[type-var]
            if first is not None:
                yield _line(endpoint, first)
            try:
                async for message in messages:
                    yield _line(endpoint, message)
            except PenstockError as error:
                yield bytes(error_response(error).body).decode() + "\n"

    return StreamingResponse(lines(), media_type=_NDJSON)


def _line(endpoint: Endpoint, message: Message | bytes) -> str:
    if isinstance(message, bytes):
        message = endpoint.response.FromString(message)
    return render(message) + "\n"


def _json_object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - what was sent is wrong
    return found


def _query_value(message: Message, name: str, values: list[str]) -> Any:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None or field.type == FieldDescriptor.TYPE_MESSAGE:
        # Nested fields (`client.service`) have no form in a query here.
        raise json_format.ParseError(f"no query parameter {name!r}")
    return values if field.is_repeated else values[-1]
