"""Measures how far source connectors are behind: in bytes at the source, in time at their topics.

    the database's slot ─┐
    newest record ───────┴─▶ statuses.Lag        what cannot be asked is told, and stops nothing

Beside the rounds, never in their way: a database that does not answer must not hold up a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from penstock.connectors import slots
from penstock.connectors.observations import Observed
from penstock.connectors.rest import Connect
from penstock.connectors.statuses import Lag
from penstock.errors import PenstockError
from penstock.kafka.admin import Admin
from penstock.kafka.newest import newest_ms

__all__ = ["Measured", "Meter"]

_HEARTBEATS = "__"
"""Names of topics that carry no events of the source begin so."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one connector.

    Attributes:
        topics: those it has used.
    """

    topics: tuple[str, ...] = ()
    lag: Lag = field(default_factory=Lag)


class Meter:
    """Measures the connectors of one group, now and then. For one thread."""

    def __init__(
        self,
        connect: Connect,
        *,
        admin: Admin | None,
        secrets: Path,
        every_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Measure nothing yet.

        Args:
            connect: the group.
            admin: of its cluster; None where its address is not known.
            secrets: the directory of secrets.
            every_s: seconds between measurements; what comes up or goes down is measured at once.
            clock: monotonic seconds.
        """
        self._connect = connect
        self._admin = admin
        self._secrets = secrets
        self._every_s = every_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="connect-lag")
        self._running: dict[str, Future[Measured]] = {}
        self._measured: dict[str, Measured] = {}
        self._began_at_s = float("-inf")
        self._began_with: Mapping[str, bool] = {}

    def close(self) -> None:
        """Measure no more; what is under way ends by its own deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def follow(self, connectors: Mapping[str, Observed]) -> None:
        """Take what has been measured, and begin anew where that is due; never waits."""
        if not all(future.done() for future in self._running.values()):
            return
        self._measured |= {name: future.result() for name, future in self._running.items()}
        self._running = {}
        health = {name: one.healthy for name, one in connectors.items()}
        due = self._clock() - self._began_at_s >= self._every_s
        if due or health != self._began_with:
            self._began_at_s, self._began_with = self._clock(), health
            self._running = {
                name: self._threads.submit(self._measure, one) for name, one in connectors.items()
            }

    def of(self, name: str) -> Measured:
        """Return what was measured last; nothing where that was never done."""
        return self._measured.get(name, Measured())

    def _measure(self, seen: Observed) -> Measured:
        errors: list[str] = []
        topics: tuple[str, ...] = ()
        slot, newest = None, 0
        try:
            topics = self._connect.topics(seen.name)
            newest = self._newest_ms(topics)
        except PenstockError as error:
            errors.append(error.message)
        try:
            slot = self._slot(seen)
        except PenstockError as error:
            errors.append(error.message)
        return Measured(topics=topics, lag=Lag(slot=slot, newest_ms=newest, error=" ".join(errors)))

    def _newest_ms(self, topics: Sequence[str]) -> int:
        if self._admin is None:
            return 0
        events = [topic for topic in topics if not topic.startswith(_HEARTBEATS)]
        return max(newest_ms(self._admin, events).values(), default=0)

    def _slot(self, seen: Observed) -> slots.Slot | None:
        if not slots.reads_postgres(seen.config):
            return None
        return slots.look(seen.config, directory=self._secrets)
