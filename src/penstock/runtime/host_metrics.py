"""This machine's metrics, once a second, into a topic: the quickstart's real input.

    every second: psutil ─▶ Sample ─▶ JSON ─producer─▶ host-metrics

Keeps to whole seconds of the clock without drift; a second that was missed (a sleeping machine) is
left out, not made up for. While no cluster takes records the newest ten minutes wait in memory,
and older ones are counted and dropped: this is telemetry, and must not grow.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psutil

from penstock.errors import PenstockError
from penstock.runtime import files
from penstock.sdk.deliveries import Delivery, OnDelivery

__all__ = ["Agent", "Counters", "Sample", "Sender", "instance_id", "read_counters", "sample"]

_log = logging.getLogger(__name__)

_PERIOD_S = 1.0
_WAITING_RECORDS = 600


class Sender(Protocol):
    """What an agent needs of a producer."""

    def send_nowait(self, value: bytes, key: bytes, *, id: str, on_delivery: OnDelivery) -> None:  # noqa: A002
        """Hand a record over, or raise a PenstockError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Counters of the machine that only grow, at a moment in monotonic seconds."""

    at_s: float
    disk_read_bytes: int
    disk_write_bytes: int
    network_received_bytes: int
    network_sent_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One record: the machine in the second that ended at ``at``."""

    instance: str
    at: str
    cpu_percent: float
    load_1m: float
    memory_percent: float
    memory_used_bytes: int
    disk_percent: float
    disk_read_bytes_per_s: float
    disk_write_bytes_per_s: float
    network_received_bytes_per_s: float
    network_sent_bytes_per_s: float


def instance_id(home: Path) -> str:
    """Return the stable id of this machine and home, made at the first call: ``host-1a2b3c4d``."""
    place = home / "agent" / "instance"
    try:
        return place.read_text("utf-8").strip()
    except FileNotFoundError:
        made = f"{socket.gethostname().split('.')[0]}-{uuid.uuid4().hex[:8]}"
        files.write_atomically(place, made + "\n")
        return made


def read_counters() -> Counters:
    """Read the machine's counters; a machine without disks or networks has zeros."""
    disk = psutil.disk_io_counters()
    network = psutil.net_io_counters()
    return Counters(
        at_s=time.monotonic(),
        # psutil gives None where there is no disk or no network.
        disk_read_bytes=getattr(disk, "read_bytes", 0),
        disk_write_bytes=getattr(disk, "write_bytes", 0),
        network_received_bytes=getattr(network, "bytes_recv", 0),
        network_sent_bytes=getattr(network, "bytes_sent", 0),
    )


def sample(instance: str, *, home: Path, before: Counters, now: Counters) -> Sample:
    """Look at the machine; rates are over the time between the counters."""
    seconds = max(now.at_s - before.at_s, 1e-3)
    memory = psutil.virtual_memory()

    def rate(after: int, earlier: int) -> float:
        # Counters begin anew when an interface or a disk goes.
        return round(max(0, after - earlier) / seconds, 1)

    return Sample(
        instance=instance,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        cpu_percent=psutil.cpu_percent(),
        load_1m=os.getloadavg()[0],
        memory_percent=memory.percent,
        memory_used_bytes=memory.used,
        disk_percent=psutil.disk_usage(str(home)).percent,
        disk_read_bytes_per_s=rate(now.disk_read_bytes, before.disk_read_bytes),
        disk_write_bytes_per_s=rate(now.disk_write_bytes, before.disk_write_bytes),
        network_received_bytes_per_s=rate(
            now.network_received_bytes, before.network_received_bytes
        ),
        network_sent_bytes_per_s=rate(now.network_sent_bytes, before.network_sent_bytes),
    )


class Agent:
    """Sends a sample a second until it is told to stop.

    Attributes:
        dropped: samples that were too old to keep while nothing took them.
    """

    def __init__(
        self, sender: Sender, *, home: Path, clock: Callable[[], float] = time.time
    ) -> None:
        """Send with the producer as this home's instance; ``clock`` is seconds since 1970."""
        self.dropped = 0
        self._sender = sender
        self._home = home
        self._instance = instance_id(home)
        self._clock = clock
        self._waiting: deque[Sample] = deque()

    def run(self, stopping: threading.Event) -> None:
        """Sample at every whole second until ``stopping`` is set."""
        psutil.cpu_percent()  # the first call has nothing to compare with
        before = read_counters()
        while not stopping.wait(_PERIOD_S - self._clock() % _PERIOD_S):
            now = read_counters()
            taken = sample(self._instance, home=self._home, before=before, now=now)
            self.offer(taken)
            before = now

    def offer(self, taken: Sample) -> None:
        """Send the sample after those that wait, or let it wait with them."""
        self._waiting.append(taken)
        while len(self._waiting) > _WAITING_RECORDS:
            self._waiting.popleft()
            self.dropped += 1
        for _ in range(len(self._waiting)):
            oldest = self._waiting.popleft()
            try:
                self._send(oldest)
            except PenstockError as error:
                self._waiting.appendleft(oldest)
                _log.warning("%d samples wait: %s", len(self._waiting), error.message)
                return

    def _send(self, taken: Sample) -> None:
        def settled(delivery: Delivery) -> None:
            if delivery.error is not None:
                self._waiting.append(taken)

        self._sender.send_nowait(
            json.dumps(asdict(taken)).encode(),
            self._instance.encode(),
            # The same id at every try, so that a copy can be told from a new sample.
            id=f"{taken.instance}-{taken.at}",
            on_delivery=settled,
        )
