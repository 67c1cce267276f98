"""Follow one record of a ``replicate`` topic to all of its clusters.

    record ─▶ every working lane, the same id ─▶ all settled ─▶ one Delivery

Guarantee: acked when every cluster that worked has settled it and at least one has acked it; the
clusters that did not are named as missing. Nothing is resent to another cluster: it goes there
anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from penstock.sdk.deliveries import Ack, Delivery

__all__ = ["Fanout"]


class Fanout:
    """Joins the deliveries of one record's copies."""

    __slots__ = ("_acks", "_error", "_id", "_lock", "_missing", "_on_joined", "_open")

    def __init__(
        self,
        id_: str,
        *,
        copies: int,
        on_joined: Callable[[Delivery], None],
        missing: Iterable[str] = (),
    ) -> None:
        """Wait for ``copies`` deliveries, then call ``on_joined`` once.

        ``missing`` names the clusters that did not work, and so were not given a copy.
        """
        self._id = id_
        self._lock = threading.Lock()
        self._open = copies
        self._acks: list[Ack] = []
        self._missing = list(missing)
        self._error: Delivery | None = None
        self._on_joined = on_joined

    def settled(self, cluster: str, delivery: Delivery) -> None:
        """Take the delivery of the copy on ``cluster``, from any thread."""
        with self._lock:
            self._open -= 1
            if delivery.ack is not None:
                self._acks.append(delivery.ack)
            else:
                self._missing.append(cluster)
                self._error = delivery
            if self._open:
                return
        self._on_joined(self._join())

    def _join(self) -> Delivery:
        if self._acks:
            ack = replace(self._acks[0], missing=tuple(sorted(self._missing)))
            return Delivery(id=self._id, ack=ack)
        return self._error or Delivery(id=self._id)
