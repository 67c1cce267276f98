"""Which ports the servers take: as told, else those of the last run, else free ones.

Clients remember the address, so a restart must keep it. Free ones are picked below 32768, since
the system gives those above to outgoing connections, and below 20000, where the embedded brokers'
remembered ports begin, which seem free while their broker is down.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from penstock.errors import NotReady

__all__ = ["bind", "bind_socket", "last_ports"]

T = TypeVar("T")

_LOWEST, _HIGHEST = 12_000, 19_999
_TRIES = 50


def bind(make: Callable[[int], T], *, wanted: int, last: int) -> tuple[T, int]:
    """Return what ``make`` made of the first port it could take, and that port.

    Args:
        make: takes a port, or raises `NotReady` where it is taken.
        wanted: the only port to try; 0 for any.
        last: the port of the last run; 0 for none.

    Raises:
        NotReady: when no port could be had.
    """
    for port in _candidates(wanted, last):
        try:
            return make(port), port
        except NotReady:
            if wanted:
                raise
    raise NotReady(f"no free port was found from {_LOWEST} to {_HIGHEST}; name one yourself")


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        NotReady: when the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise NotReady(
            f"{host}:{port} cannot be taken ({error.strerror}); stop what listens there, or choose "
            "another port"
        ) from error
    return bound


def last_ports(path: Path) -> tuple[int, int]:
    """Return gRPC's and REST's port of the last run, 0 where that is not known."""
    try:
        found = json.loads(path.read_text())
        return _port(found["grpc"]), _port(found["rest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0, 0


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _candidates(wanted: int, last: int) -> Iterator[int]:
    if wanted:
        yield wanted
        return
    if last:
        yield last
    for _ in range(_TRIES):
        yield random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - not a secret
