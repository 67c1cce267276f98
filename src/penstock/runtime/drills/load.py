"""Sends counted records at a steady rate, and remembers what was told of each.

    every 5 ms: the records that are due ─producer─▶ Delivery ─▶ acks by cluster, failures

A record is attempted when it is due, whether or not the producer takes it: a producer that refuses
records must not look available.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from penstock.errors import PenstockError
from penstock.sdk.deliveries import Delivery, OnDelivery

__all__ = ["Load", "Sender"]

_TICK_S = 0.005
_PADDING = b"." * 180


class Sender(Protocol):
    """What a load needs of a producer."""

    def send_nowait(self, value: bytes, *, id: str, on_delivery: OnDelivery) -> None:  # noqa: A002
        """Hand a record over, or raise a PenstockError."""


@dataclass(slots=True)
class Acks:
    """What one cluster acked: how often, and when last, in seconds of the load's clock."""

    count: int = 0
    last_at: float = 0.0


class Load:
    """One steady stream of records; ids are ``<name>-<number>``.

    Attributes:
        attempted: records that were due.
        acked: ids that were acked.
        possibly_doubled: ids that the producer said may lie twice.
        failures: reasons, with how often.
    """

    def __init__(
        self, sender: Sender, *, name: str, rate: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Send nothing yet.

        Args:
            sender: a producer.
            name: of this load; unique on the topic.
            rate: records a second.
            clock: monotonic seconds.
        """
        self.name = name
        self.attempted = 0
        self.acked: set[str] = set()
        self.possibly_doubled: set[str] = set()
        self.failures: Counter[str] = Counter()
        self._clusters: dict[str, Acks] = {}
        self._sender = sender
        self._rate = rate
        self._clock = clock
        self._watch: _Watch | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drill-load", daemon=True)

    @property
    def by_cluster(self) -> dict[str, int]:
        """Return how many records each cluster acked."""
        return {name: acks.count for name, acks in list(self._clusters.items())}

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; what was sent is still to be flushed."""
        self._stopping.set()
        self._thread.join()

    def first_ack(self, wanted: Callable[[str], bool]) -> _Watch:
        """Watch, from now on, for the first ack of a cluster that is wanted."""
        self._watch = _Watch(wanted=wanted, since=self._clock())
        return self._watch

    def _run(self) -> None:
        begun_at = self._clock()
        while not self._stopping.wait(_TICK_S):
            due = int((self._clock() - begun_at) * self._rate)
            while self.attempted < due and not self._stopping.is_set():
                self._send(f"{self.name}-{self.attempted}")

    def _send(self, id_: str) -> None:
        self.attempted += 1
        try:
            self._sender.send_nowait(_PADDING, id=id_, on_delivery=self._settled)
        except PenstockError as error:
            self.failures[error.message] += 1

    def _settled(self, delivery: Delivery) -> None:
        if delivery.possibly_doubled or (delivery.ack and delivery.ack.possibly_doubled):
            self.possibly_doubled.add(delivery.id)
        if delivery.ack is None:
            self.failures[delivery.error.message if delivery.error else "not acked"] += 1
            return
        now = self._clock()
        self.acked.add(delivery.id)
        acks = self._clusters.setdefault(delivery.ack.cluster, Acks())
        acks.count += 1
        acks.last_at = now
        watch = self._watch
        if watch is not None and not watch.seen.is_set() and watch.wanted(delivery.ack.cluster):
            watch.after_s = now - watch.since
            watch.seen.set()


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Waits for an ack; ``after_s`` is how long it took, once ``seen`` is set."""

    wanted: Callable[[str], bool]
    since: float
    after_s: float = 0.0
    seen: threading.Event = field(default_factory=threading.Event)
