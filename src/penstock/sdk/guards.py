"""Warn of the ways to misuse a Kafka client that have taken clusters down.

connect, producer, consumer ─▶ count ─▶ too many in a short time: one warning with the remedy
fork ─▶ every client of the parent is unusable in the child, and says so
exit ─▶ every client still open is closed, so that what was sent is flushed
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Protocol

from penstock.errors import PenstockError

__all__ = ["ClientsInALoop", "Creations", "count_creation", "forget", "watch"]

log = logging.getLogger("penstock.sdk")

LIMIT = 20
WINDOW_S = 10.0


class ClientsInALoop(UserWarning):
    """Clients are made again and again, where one should be kept."""


class Creations:
    """Counts creations within a window of time."""

    def __init__(self, *, limit: int, window_s: float, clock: Callable[[], float]) -> None:
        """Allow ``limit`` creations within ``window_s`` seconds."""
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=limit + 1)

    def count(self) -> bool:
        """Count one; tell whether that is too many, once a window."""
        with self._lock:
            self._times.append(self._clock())
            too_many = len(self._times) > self._limit
            if too_many and self._times[-1] - self._times[0] < self._window_s:
                self._times.clear()
                return True
            return False


class _Watched(Protocol):
    def abandon(self) -> None: ...

    def close(self) -> None: ...


_creations = Creations(limit=LIMIT, window_s=WINDOW_S, clock=time.monotonic)
_clients: set[_Watched] = set()


def count_creation(what: str) -> None:
    """Count a client; warn when they are made in a loop."""
    if _creations.count():
        warnings.warn(
            f"more than {LIMIT} Penstock clients were made within {WINDOW_S:g} s (the last by"
            f" {what}()). Each opens connections to the brokers and asks them for metadata, which"
            " has taken clusters down. Make one at the start of the process and keep it; in a"
            " function service, outside of the handler.",
            ClientsInALoop,
            stacklevel=3,
        )


def watch(client: _Watched) -> None:
    """Abandon the client in a forked child, where its threads are gone; close it at the exit."""
    _clients.add(client)


def forget(client: _Watched) -> None:
    """Stop watching: the client is closed."""
    _clients.discard(client)


def _abandon_all() -> None:
    for client in tuple(_clients):
        client.abandon()
    _clients.clear()


def _close_all() -> None:
    # A thread inside gRPC or librdkafka while the interpreter goes away aborts the process.
    for client in tuple(_clients):
        try:
            client.close()
        except PenstockError as error:
            log.error("closing at the exit of the process: %s", error.message)  # noqa: TRY400 - no trace


os.register_at_fork(after_in_child=_abandon_all)
atexit.register(_close_all)
