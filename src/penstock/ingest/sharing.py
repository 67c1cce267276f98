"""How processes share tables: each looks at the same announcements and comes to the same answer.

    announcements + holders ─share─▶ tables to take, tables to give       (pure)
    Announcements ─▶ <lake>/.penstock/processes/<owner>.json, renewed; dead ones are cleared away

Guarantee: over rounds with the same processes every table that a process wants is held, and none
holds two more than another that wants one of its tables. Starting a process moves tables to it,
one at a time, each between two batches; one that dies is replaced.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from penstock.ingest.locations import Location
from penstock.ingest.owners import Owner, is_gone

__all__ = ["Announced", "Announcements", "Share", "share"]

_DIRECTORY = "processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a process says of itself: the tables it would run, and those it runs."""

    wanted: frozenset[str]
    held: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process is to do."""

    take: tuple[str, ...] = ()
    give: tuple[str, ...] = ()


def share(me: str, processes: Mapping[str, Announced], holders: Mapping[str, str | None]) -> Share:
    """Return what this process is to take and to give.

    Args:
        me: its name, one of ``processes``.
        processes: every process that lives.
        holders: who runs each table this process wants, None for nobody.
    """
    counts = {name: len(each.held) for name, each in processes.items()}
    take = []
    for table in sorted(table for table, holder in holders.items() if holder is None):
        takers = [name for name, each in processes.items() if table in each.wanted]
        taker = min(takers, key=lambda name: (counts[name], _chance(name, table)))
        counts[taker] += 1
        if taker == me:
            take.append(table)
    if take:
        return Share(take=tuple(take))
    return Share(give=_surplus(me, processes, counts))


def _surplus(
    me: str, processes: Mapping[str, Announced], counts: Mapping[str, int]
) -> tuple[str, ...]:
    """Return one table that another process has too few for, if this is the one to give."""
    surplus = {
        name: sorted(
            table
            for table in each.held
            for other, wants in processes.items()
            if table in wants.wanted and counts[other] + 1 < counts[name]
        )
        for name, each in processes.items()
    }
    givers = [(counts[name], name) for name, tables in surplus.items() if tables]
    if not givers or max(givers)[1] != me:
        return ()
    return (surplus[me][-1],)


def _chance(name: str, table: str) -> int:
    return zlib.crc32(f"{name} {table}".encode())


class Announcements:
    """The processes that share one lake, as one of them sees it."""

    def __init__(
        self,
        lake: Location,
        *,
        owner: Owner,
        lasts_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Announce nothing yet.

        Args:
            lake: what they share.
            owner: this process.
            lasts_s: one that said nothing for so long is dead, by this process's clock.
            clock: gives seconds.
        """
        self._lake = lake
        self._owner = owner
        self._lasts_s = lasts_s
        self._clock = clock
        self._beats = 0
        self._heard: dict[str, tuple[int, float]] = {}

    def exchange(self, mine: Announced) -> dict[str, Announced]:
        """Say what this process runs, and hear of every one that lives, this one included.

        Raises:
            NotReady: when the storage fails.
        """
        self._beats += 1
        told = {
            "owner": asdict(self._owner),
            "beat": self._beats,
            "wanted": sorted(mine.wanted),
            "held": sorted(mine.held),
        }
        self._lake.put(_name(self._owner.name), json.dumps(told).encode(), lasting=False)
        found = {self._owner.name: mine}
        for name in self._lake.names(_DIRECTORY):
            content = self._lake.get(name)
            if content is not None and name != _name(self._owner.name):
                self._hear(name, json.loads(content), found)
        return found

    def leave(self) -> None:
        """Say that this process ends.

        Raises:
            NotReady: when the storage fails; the others find out after a time.
        """
        self._lake.delete(_name(self._owner.name))

    def _hear(self, file: str, told: dict[str, object], found: dict[str, Announced]) -> None:
        owner = Owner(**told["owner"])  # type: ignore[arg-type] # as `exchange` wrote it
        beat = int(str(told["beat"]))
        before, heard_at = self._heard.get(owner.name, (-1, 0.0))
        if beat != before:
            heard_at = self._clock()
            self._heard[owner.name] = beat, heard_at
        if is_gone(owner) or self._clock() - heard_at > self._lasts_s:
            self._lake.delete(file)
            return
        found[owner.name] = Announced(
            wanted=frozenset(map(str, told["wanted"])),  # type: ignore[call-overload]
            held=frozenset(map(str, told["held"])),  # type: ignore[call-overload]
        )


def _name(owner: str) -> str:
    return f"{_DIRECTORY}/{owner}.json"
