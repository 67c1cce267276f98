"""Decide whether a cluster works, from what its producer sees.

    closed ──all brokers down · errors in a row · oldest record too old──▶ open
    open ──after a pause, doubled each time──▶ half-open ──probe ok──▶ closed
                                                        └──probe failed──▶ open

A pure state machine: the clock and the dice are handed in, the probe is somebody else's (see
`lanes`). No user record is ever the probe.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Breaker", "BreakerSettings", "BreakerState"]


class BreakerState(StrEnum):
    """What the breaker lets through."""

    CLOSED = "closed"
    """Records."""
    OPEN = "open"
    """Nothing."""
    HALF_OPEN = "half-open"
    """One probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When to open, and when to try again.

    Attributes:
        max_age_s: age of the oldest unacked record at which the cluster counts as hung.
        warm_up_age_s: the same while fewer than ``warm_up_records`` are settled: the first ones
            wait for connections and metadata, which a small budget would take for a hang.
        warm_up_records: settled records after which the connection counts as warm.
        max_failures: failed records in a row, without an ack between, that open the breaker.
        pause_s: first pause before a probe; doubled by each failed probe.
        max_pause_s: longest pause.
        stable_s: closed for this long, the next opening begins with the first pause again.
    """

    max_age_s: float = 1.2
    warm_up_age_s: float = 5.0
    warm_up_records: int = 10
    max_failures: int = 3
    pause_s: float = 0.5
    max_pause_s: float = 15.0
    stable_s: float = 30.0


class Breaker:
    """One cluster's breaker, as one producer sees the cluster.

    Not thread-safe: the owner calls it under its own lock.

    Attributes:
        state: what it lets through now.
        reason: why it opened last.
    """

    __slots__ = (
        "_changed_at",
        "_clock",
        "_dice",
        "_failures",
        "_pause_s",
        "_probe_at",
        "_settings",
        "_settled",
        "_settled_before",
        "reason",
        "state",
    )

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        clock: Callable[[], float],
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Start closed. ``clock`` is monotonic seconds; ``dice`` gives [0, 1) for the jitter."""
        self._settings = settings
        self._clock = clock
        self._dice = dice
        self._failures = 0
        self._settled = 0
        self._settled_before = 0
        self._pause_s = settings.pause_s
        self._probe_at = 0.0
        self._changed_at = clock()
        self.state = BreakerState.CLOSED
        self.reason = ""

    @property
    def works(self) -> bool:
        """Tell whether records may go to the cluster."""
        return self.state is BreakerState.CLOSED

    def acked(self) -> None:
        """Take note that a record was acked: failures before it are not in a row any more."""
        self._failures = 0

    def failed(self, reason: str) -> bool:
        """Take note of a record that failed because of the cluster; tell whether that opened it."""
        self._failures += 1
        return self._failures >= self._settings.max_failures and self.trip(reason)

    def observe(self, settled: int, *, oldest_s: float) -> bool:
        """Take note of what the lane shows; tell whether that opened the breaker.

        Args:
            settled: records acked or failed, ever.
            oldest_s: age of the oldest unacked record, 0 for none.
        """
        self._settled = settled
        warm = settled - self._settled_before >= self._settings.warm_up_records
        limit = self._settings.max_age_s if warm else self._settings.warm_up_age_s
        return oldest_s > limit and self.trip(f"a record is not acked since {oldest_s:.1f} s")

    def trip(self, reason: str) -> bool:
        """Open because of ``reason``; tell whether it was closed until now."""
        if self.state is not BreakerState.CLOSED:
            return False
        if self._clock() - self._changed_at >= self._settings.stable_s:
            self._pause_s = self._settings.pause_s
        self._open(reason)
        return True

    def take_probe(self) -> bool:
        """Tell whether it is time for a probe; if so, its result must be given to `probed`."""
        if self.state is not BreakerState.OPEN or self._clock() < self._probe_at:
            return False
        self.state = BreakerState.HALF_OPEN
        return True

    def probed(self, failure: str | None) -> None:
        """Take the result of the probe: None closes, a reason opens again for longer."""
        if self.state is not BreakerState.HALF_OPEN:
            return
        if failure is not None:
            self._open(failure)
            return
        self.state = BreakerState.CLOSED
        self._changed_at = self._clock()
        self._failures = 0
        # The connection is new: the first records may take their time again.
        self._settled_before = self._settled

    def _open(self, reason: str) -> None:
        self.state = BreakerState.OPEN
        self.reason = reason
        self._changed_at = self._clock()
        # Jitter by up to a quarter, so that a fleet does not probe a reviving cluster at once.
        self._probe_at = self._changed_at + self._pause_s * (1 + self._dice() / 4)
        self._pause_s = min(self._pause_s * 2, self._settings.max_pause_s)
