"""What can be called, read off the compiled ``.proto``: one endpoint a method.

service descriptors + google.api.http ─▶ Endpoint… ─▶ both faces and the OpenAPI document
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from penstock.api._gen import penstock_pb2 as pb
from penstock.control.server.access import Caller

__all__ = ["Endpoint", "Handler", "Handlers", "describe", "endpoints"]

# Any: one table holds the handlers of every request type; the descriptors say which is whose.
Handler: TypeAlias = Callable[[Any, Caller], Awaitable[Message] | AsyncIterator[Message | bytes]]
Handlers: TypeAlias = Mapping[str, Handler]
"""By the method's name, e.g. ``GetSnapshot``; names are unique over all services."""

_VERBS = ("get", "post", "put", "patch", "delete")
# They change nothing of the estate, although they are POSTs.
_OPEN_POSTS = {"Plan", "ReportApplied"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of the contract.

    Attributes:
        service: full name, e.g. ``penstock.v1.Metadata``.
        verb: HTTP method, upper case.
        path: HTTP path; ``{field}`` is a field of the request.
        operates: whether it changes something, and so needs an operator.
        handler: None where only the description is wanted.
    """

    service: str
    name: str
    request: type[Message]
    response: type[Message]
    streams: bool
    verb: str
    path: str
    has_body: bool
    operates: bool
    handler: Handler | None = None


def describe() -> list[Endpoint]:
    """Return every method of the contract, without handlers."""
    return [
        _describe(method)
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def endpoints(handlers: Handlers) -> list[Endpoint]:
    """Return every method with its handler.

    Raises:
        KeyError: when a method has none; the server's author forgot it.
    """
    return [
        _describe(method, handler=handlers[method.name])
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def _describe(method: MethodDescriptor, *, handler: Handler | None = None) -> Endpoint:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = next(verb for verb in _VERBS if getattr(rule, verb))
    return Endpoint(
        service=method.containing_service.full_name,
        name=method.name,
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        streams=method.server_streaming,
        verb=verb.upper(),
        path=getattr(rule, verb),
        has_body=rule.body == "*",
        operates=verb != "get" and method.name not in _OPEN_POSTS,
        handler=handler,
    )
