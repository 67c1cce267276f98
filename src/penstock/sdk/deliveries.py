"""What became of a record: values that reports and `send` hand to the caller.

sent ─▶ Ack (a cluster has it) or error (one PenstockError that says what to do)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from penstock.errors import PenstockError
from penstock.sdk.provenance import Header

__all__ = ["Ack", "Delivery", "Journey", "OnDelivery", "Outgoing", "Payload", "Waiter"]

Payload = bytes | str | None


class Outgoing(NamedTuple):
    """A record as it is handed to a lane; its first header is its id."""

    value: Payload
    key: Payload
    headers: list[Header]
    timestamp_ms: int

    @property
    def id(self) -> str:
        """Return the record's ``ce_id``."""
        id_ = self.headers[0][1] if self.headers else None
        return id_.decode() if isinstance(id_, bytes) else id_ or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Every in-sync replica of the partition has the record.

    Attributes:
        id: the record's ``ce_id``.
        topic: the logical topic.
        possibly_doubled: the record was resent after it may have reached another cluster, so a
            consumer may see its id twice.
        missing: clusters of a ``replicate`` topic that have not acked it.
    """

    id: str
    topic: str
    cluster: str
    partition: int
    offset: int
    possibly_doubled: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The report of one record: exactly one of `ack` and `error` is set.

    Attributes:
        possibly_doubled: as in `Ack`; with an error, the record may have arrived all the same.
    """

    id: str
    ack: Ack | None = None
    error: PenstockError | None = None
    possibly_doubled: bool = False


OnDelivery = Callable[[Delivery], None]


class Journey:
    """What is remembered of a record that somebody waits for, or that failed at least once.

    A record that is acked at the first try, with nobody waiting, has none: only its id is kept,
    by its delivery callback.

    Attributes:
        record: as it was handed over, to be resent.
        deadline: monotonic seconds after which it is given up.
        attempts: how often it was handed to a cluster and failed there.
        pinned: it stays with its cluster: other copies of it go to the others.
    """

    __slots__ = ("attempts", "deadline", "on_delivery", "pinned", "possibly_doubled", "record")

    def __init__(
        self,
        record: Outgoing,
        deadline: float,
        *,
        on_delivery: OnDelivery | None = None,
        pinned: bool = False,
    ) -> None:
        """Begin with no failure."""
        self.record = record
        self.deadline = deadline
        self.on_delivery = on_delivery
        self.attempts = 0
        self.pinned = pinned
        self.possibly_doubled = False


class Waiter:
    """Lets one thread wait for one delivery."""

    __slots__ = ("_done", "delivery")

    def __init__(self) -> None:
        """Begin undone."""
        self._done = threading.Event()
        self.delivery: Delivery | None = None

    def __call__(self, delivery: Delivery) -> None:
        """Take the delivery, from any thread."""
        self.delivery = delivery
        self._done.set()

    def wait(self, timeout_s: float) -> Delivery | None:
        """Return the delivery, or None after the timeout."""
        self._done.wait(timeout_s)
        return self.delivery
