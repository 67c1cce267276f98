"""gRPC, generically: every endpoint's handler behind its method.

request ─▶ admitted? ─▶ handler ─▶ response bytes
             └─ PenstockError ─▶ status, message, faults in trailing metadata
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from penstock.api import failures
from penstock.control.server.access import Access, Unauthenticated
from penstock.control.server.endpoints import Endpoint
from penstock.errors import NotReady, PenstockError

__all__ = ["make_server"]

_log = logging.getLogger(__name__)

_OPTIONS = (
    # By default two servers share a port in silence, and callers reach one or the other.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.max_send_message_length", 256 * 2**20),
    # Clients watch for days: let them ask whether we are there, as often as they like.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


def make_server(endpoints: Iterable[Endpoint], access: Access, *, address: str) -> grpc.aio.Server:
    """Return a server bound to the address, not started.

    Raises:
        NotReady: when the port is taken.
    """
    server = grpc.aio.server(options=_OPTIONS)
    by_service: dict[str, dict[str, Any]] = defaultdict(dict)
    for endpoint in endpoints:
        by_service[endpoint.service][endpoint.name] = _method(endpoint, access)
    for service, methods in by_service.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        raise NotReady(f"{address} is taken; stop what listens there, or choose another port")
    return server


def _method(endpoint: Endpoint, access: Access) -> Any:
    make = (
        grpc.unary_stream_rpc_method_handler
        if endpoint.streams
        else grpc.unary_unary_rpc_method_handler
    )
    behave = _stream(endpoint, access) if endpoint.streams else _answer(endpoint, access)
    return make(
        behave,
        request_deserializer=endpoint.request.FromString,
        response_serializer=_serialize,
    )


def _serialize(message: Message | bytes) -> bytes:
    # A watch encodes an event once for all who get the same.
    return message if isinstance(message, bytes) else message.SerializeToString()


def _answer(endpoint: Endpoint, access: Access) -> Any:
    handler: Any = endpoint.handler

    async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        try:
            caller = access.admit(_authorization(context), operates=endpoint.operates)
            response: Message = await handler(request, caller)
        except PenstockError as error:
            await _abort(context, error)
            raise
        return response

    return answer


def _stream(endpoint: Endpoint, access: Access) -> Any:
    handler: Any = endpoint.handler

    async def stream(
        request: Message, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message | bytes]:
        try:
            caller = access.admit(_authorization(context), operates=endpoint.operates)
            async for message in handler(request, caller):
                yield message
        except PenstockError as error:
            await _abort(context, error)

    return stream


def _authorization(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    metadata = context.invocation_metadata() or ()
    return next((str(value) for key, value in metadata if key == "authorization"), "")


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: PenstockError) -> None:
    code = (
        grpc.StatusCode.UNAUTHENTICATED
        if isinstance(error, Unauthenticated)
        else failures.code_of(error)
    )
    _log.info("refused with %s: %s", code.name, error.message)
    await context.abort(code, error.message, failures.to_metadata(error))
