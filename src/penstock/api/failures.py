"""Penstock's errors over gRPC: the same error, with its faults, on both sides of the wire.

    PenstockError ─to_status─▶ code, message, trailing metadata ─from_status─▶ PenstockError

The faults of a `ConfigError` travel as JSON in trailing metadata, so that a client names the same
files and lines as the server did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

import grpc

from penstock.errors import (
    ConfigError,
    Conflict,
    DataError,
    Fault,
    NotFound,
    NotReady,
    PenstockError,
    Refused,
    RemoteError,
)

__all__ = ["FAULTS_KEY", "code_of", "from_status", "to_metadata"]

FAULTS_KEY = "penstock-faults-bin"
"""Trailing metadata: a JSON object with ``message`` and ``faults``."""

# A kind stands before its base.
_CODES: dict[type[PenstockError], grpc.StatusCode] = {
    NotFound: grpc.StatusCode.NOT_FOUND,
    ConfigError: grpc.StatusCode.INVALID_ARGUMENT,
    NotReady: grpc.StatusCode.UNAVAILABLE,
    Refused: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ABORTED,
    DataError: grpc.StatusCode.DATA_LOSS,
    RemoteError: grpc.StatusCode.INTERNAL,
}
_ERRORS: dict[grpc.StatusCode, type[PenstockError]] = {
    **{code: kind for kind, code in _CODES.items()},
    grpc.StatusCode.DEADLINE_EXCEEDED: NotReady,
    grpc.StatusCode.CANCELLED: NotReady,
    grpc.StatusCode.RESOURCE_EXHAUSTED: NotReady,
    grpc.StatusCode.UNAUTHENTICATED: Refused,
    grpc.StatusCode.PERMISSION_DENIED: Refused,
}


def code_of(error: PenstockError) -> grpc.StatusCode:
    """Return the status code that stands for the error's kind."""
    kinds = (code for kind, code in _CODES.items() if isinstance(error, kind))
    return next(kinds, grpc.StatusCode.UNKNOWN)


def to_metadata(error: PenstockError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries the faults; empty where there are none."""
    if not isinstance(error, ConfigError) or not error.faults:
        return ()
    headline = error.message.partition("\n")[0]
    body = {"message": headline, "faults": [asdict(fault) for fault in error.faults]}
    return ((FAULTS_KEY, json.dumps(body).encode()),)


def from_status(
    code: grpc.StatusCode,
    details: str,
    metadata: Iterable[tuple[str, str | bytes]],
    *,
    address: str,
) -> PenstockError:
    """Return the error a call failed with; the caller raises it ``from`` the gRPC error.

    Args:
        code: status code of the call.
        details: the message.
        metadata: the trailing metadata.
        address: of the control plane, for the message when it cannot be reached.
    """
    faults = next((value for key, value in metadata if key == FAULTS_KEY), None)
    if code is grpc.StatusCode.INVALID_ARGUMENT and faults is not None:
        body = json.loads(faults)
        return ConfigError(body["message"], faults=[Fault(**fault) for fault in body["faults"]])
    if code is grpc.StatusCode.UNAVAILABLE and _came_from_grpc(details):
        return NotReady(
            f"the control plane at {address} cannot be reached ({details}); start it with "
            "`penstock up` or `penstock control`, or check the address"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NotReady(f"the control plane at {address} did not answer in time; try again")
    return _ERRORS.get(code, RemoteError)(details or f"the call failed with {code.name}")


def _came_from_grpc(details: str) -> bool:
    # Our own NotReady travels as UNAVAILABLE too, with a message of ours.
    words = ("failed to connect", "connections to all backends", "Socket closed", "recvmsg", "DNS")
    return not details or any(word in details for word in words)
