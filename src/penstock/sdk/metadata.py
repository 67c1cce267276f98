"""What clients know of topics and clusters, and how they hear of changes.

    control plane ─Watch─▶ snapshot, deltas ─▶ Store ─▶ on_change ─▶ producers, consumers
         └─GetSnapshot, when the stream cannot be held      └─▶ last known good on disk

Guarantee: versions only grow; listeners see them in order, one at a time. A client that once had
metadata starts and works without the control plane. Never on the way of a record.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from penstock.errors import ConfigError, NotReady
from penstock.model.metadata import Snapshot
from penstock.model.topics import Topic

__all__ = ["Listener", "Metadata", "StaticMetadata", "Store", "find_topic"]

log = logging.getLogger("penstock.sdk.metadata")

Listener = Callable[[Snapshot], None]


class Metadata(Protocol):
    """A source of metadata: the control plane's, or a static one."""

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        ...

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with each newer snapshot; return what ends that."""
        ...

    def need(self, topics: Sequence[str]) -> None:
        """Say which logical topics the client uses, by name."""
        ...

    def wait_for_version(self, version: int, *, timeout_s: float) -> Snapshot:
        """Return the snapshot once it is at least of ``version``; raise NotReady after the time."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Store:
    """Holds the newest snapshot and tells listeners of newer ones."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        """Begin with ``snapshot``, or with nothing known."""
        self._changed = threading.Condition()
        self._telling = threading.RLock()
        self._snapshot = snapshot or Snapshot()
        self._listeners: list[Listener] = []

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return self._snapshot

    def put(self, snapshot: Snapshot, *, replace: bool = False) -> bool:
        """Take a snapshot if it is newer; tell whether it was, after every listener has run.

        Args:
            snapshot: the news.
            replace: take any that differs, whatever its version.
        """
        with self._telling:
            old = self._snapshot
            if snapshot == old if replace else snapshot.version <= old.version:
                return False
            with self._changed:
                self._snapshot = snapshot
                self._changed.notify_all()
            for listener in tuple(self._listeners):
                try:
                    listener(snapshot)
                except Exception:
                    # One client's failure must not keep the news from the others.
                    log.exception("a listener failed on metadata version %d", snapshot.version)
            return True

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with each newer snapshot, and at once where one is known."""
        with self._telling:
            self._listeners.append(listener)
            if self._snapshot.version:
                listener(self._snapshot)
        return lambda: self._forget(listener)

    def wait_for_version(self, version: int, *, timeout_s: float) -> Snapshot:
        """Return the snapshot once it is at least of ``version``.

        Raises:
            NotReady: after ``timeout_s``.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._snapshot.version >= version, timeout_s):
                return self._snapshot
        raise NotReady(
            f"metadata version {version} did not arrive within {timeout_s:g} s; version"
            f" {self._snapshot.version} is the newest here. Check that the control plane runs."
        )

    def _forget(self, listener: Listener) -> None:
        with self._telling:
            if listener in self._listeners:
                self._listeners.remove(listener)


class StaticMetadata(Store):
    """Metadata given in code: no control plane, for tests and for services that bring their own.

    `put` a newer snapshot to change it.
    """

    def need(self, topics: Sequence[str]) -> None:
        """Do nothing: everything is known."""

    def close(self) -> None:
        """Do nothing."""


def find_topic(snapshot: Snapshot, name: str, *, environment: str | None) -> Topic:
    """Return the logical topic.

    Raises:
        ConfigError: when it is not declared, or in several environments and none is named.
    """
    named = [topic for topic in snapshot.topics.values() if topic.name == name]
    found = [t for t in named if environment is None or t.environment == environment]
    if len(found) == 1:
        return found[0]
    if found:
        environments = ", ".join(sorted(t.environment for t in found))
        raise ConfigError(
            f"topic {name!r} is declared in several environments ({environments})."
            " Pass `environment=` to connect."
        )
    where = f" in environment {environment!r}" if environment else ""
    raise ConfigError(
        f"topic {name!r} is not declared{where}. Declare it in the estate and apply it"
        " (`penstock plan`, `penstock apply`), or correct the name."
    )
