"""What people ask of a table: small files beside it, so that whichever process runs it follows.

    penstock table pause · reset · replay · compact ─▶ <table>/_penstock/orders/… ─▶ the table's worker
    a load's turn ─▶ <table>/_penstock/turn ───────────────────────────────── Watch ─▶ the same

Guarantee: an order is carried out between two batches, once: those that move the table are written
into the plan of a batch, and one that a committed plan names is done.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

from penstock.ingest.leases import Lease
from penstock.ingest.locations import Location
from penstock.ingest.owners import Owner

__all__ = ["Kind", "Order", "Orders", "Watch"]

_DIRECTORY = "_penstock/orders"
_PAUSE = f"{_DIRECTORY}/pause"
_LOOK_EVERY_S = 1.0


class Kind(StrEnum):
    """What is asked."""

    RESET = "reset"
    """Go on from the records of a time, or without what a cluster that is gone holds."""
    REPLAY = "replay"
    """Try the dead letters again."""
    COMPACT = "compact"
    """Join small files now, and delete those nobody needs."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Order:
    """One thing asked.

    Attributes:
        name: unique, in the order of asking.
        timestamp_ms: for a reset, the time to go on from.
        without: for a reset, in place of a time: the cluster whose planned records are given up.
    """

    name: str
    kind: Kind
    timestamp_ms: int = 0
    without: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of one table.

    Attributes:
        place: of the table.
    """

    place: Location

    def pause(self) -> None:
        """Ask that the table stands still from its next batch on."""
        self.place.put(_PAUSE, b"")

    def resume(self) -> None:
        """Ask that it goes on."""
        self.place.delete(_PAUSE, lasting=True)

    def ask(self, kind: Kind, *, timestamp_ms: int = 0, without: str = "") -> Order:
        """Ask for something; return the order.

        Raises:
            NotReady: when the storage fails.
        """
        name = f"{time.time_ns():020}-{secrets.token_hex(2)}"
        order = Order(name=name, kind=kind, timestamp_ms=timestamp_ms, without=without)
        told = {"kind": kind.value, "timestamp_ms": timestamp_ms, "without": without}
        self.place.put(f"{_DIRECTORY}/{name}.json", json.dumps(told).encode())
        return order

    def look(self) -> tuple[bool, list[Order]]:
        """Return whether the table is to stand still, and what is asked, oldest first.

        Raises:
            NotReady: when the storage fails.
        """
        names = self.place.names(_DIRECTORY)
        orders = [order for name in names if (order := self._read(name)) is not None]
        return _PAUSE in names, sorted(orders)

    def done(self, order: Order) -> None:
        """Take the order away, for good: a reset that came back would be carried out twice.

        Raises:
            NotReady: when the storage fails.
        """
        self.place.delete(f"{_DIRECTORY}/{order.name}.json", lasting=True)

    def is_open(self, order: Order) -> bool:
        """Tell whether the order still waits."""
        return self.place.get(f"{_DIRECTORY}/{order.name}.json") is not None

    def _read(self, name: str) -> Order | None:
        content = self.place.get(name) if name.endswith(".json") else None
        if content is None:
            return None
        told = json.loads(content)
        return Order(
            name=name.rpartition("/")[2].removesuffix(".json"),
            kind=Kind(told["kind"]),
            timestamp_ms=told["timestamp_ms"],
            without=told.get("without", ""),
        )


class Watch:
    """Ends a wait or a batch that is gathered, when the table is to stop or something is asked.

    Attributes:
        paused: whether a person wanted the table to stand still at the last look.
        turn: the load that had its turn at the table then, None for none.
        asked: what was asked then, oldest first.
    """

    def __init__(self, orders: Orders, turns: Lease, stopping: threading.Event) -> None:
        """Look at once; then at most once a second."""
        self.turn: Owner | None = None
        self._orders = orders
        self._turns = turns
        self._stopping = stopping
        self.look()

    def look(self) -> None:
        """Look at the orders now.

        Raises:
            NotReady: when the storage fails.
        """
        self.paused, self.asked = self._orders.look()
        self.turn = self._turns.look()
        if self.turn is None:
            self._turns.settle()
        self._looked_at = time.monotonic()

    @property
    def still(self) -> bool:
        """Tell whether the table was to stand still at the last look."""
        return self.paused or self.turn is not None

    def is_set(self) -> bool:
        """Tell whether there is something else to do than to land records.

        Raises:
            NotReady: when the storage fails.
        """
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self.look()
        return self._stopping.is_set() or self.still or bool(self.asked)

    def wait(self, timeout_s: float) -> None:
        """Wait, at most until there is something else to do."""
        until = time.monotonic() + timeout_s
        while not self.is_set() and (left_s := until - time.monotonic()) > 0:
            self._stopping.wait(min(left_s, _LOOK_EVERY_S))
