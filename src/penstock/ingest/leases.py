"""Who runs a table, or has its turn at it: a chain of small files, of which the newest holds.

    take, renew, release ─create if absent─▶ <table>/_penstock/lease/<generation>.json

Guarantee: of several processes that take a lease at once, one gets it. A lease that nobody renews
is free after its time, by the looker's own clock: no two machines' clocks are ever compared. It
only saves work: what keeps two writers apart is the table's own log, so a process that does not
notice that its lease is gone writes nothing twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from penstock.ingest.locations import Location
from penstock.ingest.owners import Owner, is_gone

__all__ = ["Lease"]

_DIRECTORY = "_penstock/lease"
_KEPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The newest link of the chain; no owner when it was let go."""

    generation: int
    owner: Owner | None


class Lease:
    """One table's lease, as one process sees it.

    Attributes:
        holder: who held it at the last look; None when it was free.
    """

    def __init__(
        self,
        place: Location,
        *,
        owner: Owner,
        lasts_s: float,
        directory: str = _DIRECTORY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            place: of the table.
            owner: this process.
            lasts_s: a lease that was not renewed for so long is free.
            directory: of the chain, below the place.
            clock: gives seconds.
        """
        self.holder: Owner | None = None
        self._place = place
        self._owner = owner
        self._lasts_s = lasts_s
        self._directory = directory
        self._clock = clock
        self._seen = _Held(generation=0, owner=None)
        self._seen_at = clock()

    @property
    def mine(self) -> bool:
        """Tell whether this process held it at the last look."""
        return self.holder == self._owner

    def look(self) -> Owner | None:
        """Find out who holds it; None when it is free.

        Raises:
            NotReady: when the storage fails.
        """
        newest = self._newest()
        if newest != self._seen:
            self._seen, self._seen_at = newest, self._clock()
        late = self._clock() - self._seen_at > self._lasts_s
        owner = newest.owner
        free = owner is None or (owner != self._owner and (late or is_gone(owner)))
        self.holder = None if free else owner
        return self.holder

    def take(self) -> bool:
        """Take it if it is free; tell whether this process has it now.

        Raises:
            NotReady: when the storage fails.
        """
        if self.look() is None:
            self._add(self._owner)
        return self.mine

    def renew(self) -> bool:
        """Hold it for another time; tell whether this process still has it.

        Raises:
            NotReady: when the storage fails.
        """
        if self.look() == self._owner:
            self._add(self._owner)
        return self.mine

    def release(self) -> None:
        """Let go of it, if this process has it.

        Raises:
            NotReady: when the storage fails; it is free after its time then.
        """
        if self.look() == self._owner:
            self._add(None)

    def settle(self) -> None:
        """Free it for every looker, if at the last look it was free to this one.

        One that looks for the first time would wait for the whole time of a dead holder once more.

        Raises:
            NotReady: when the storage fails.
        """
        if self.holder is None and self._seen.owner is not None:
            self._add(None)

    def _add(self, owner: Owner | None) -> None:
        generation = self._seen.generation + 1
        told = {"owner": asdict(owner) if owner else None}
        # Only saves work: after a power cut nobody that held it lives.
        self._place.create(self._name(generation), json.dumps(told).encode(), lasting=False)
        if generation > _KEPT:
            self._place.delete(self._name(generation - _KEPT))
        # Whoever was as fast, or far ahead of a process that had been stopped, is found here.
        self.look()

    def _newest(self) -> _Held:
        names = self._place.names(self._directory)
        content = self._place.get(names[-1]) if names else None
        if content is None:
            return _Held(generation=0, owner=None)
        told = json.loads(content)["owner"]
        return _Held(generation=_generation(names[-1]), owner=Owner(**told) if told else None)

    def _name(self, generation: int) -> str:
        return f"{self._directory}/{generation:012}.json"


def _generation(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(".json"))
