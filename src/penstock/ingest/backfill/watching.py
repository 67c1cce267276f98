"""How far the loads of a process's tables are, for its status: whoever carries them out.

    <table>/_penstock/{bootstrap,backfill/<id>}/ ─look, now and then─▶ Told, by table

Never opens a table and never fails: what cannot be read now stays as it was told before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import PenstockError
from penstock.ingest.backfill import asking
from penstock.ingest.backfill.loading import State
from penstock.ingest.backfill.pieces import Loads, Plan
from penstock.ingest.locations import locate
from penstock.ingest.progress import Told
from penstock.model import tables

__all__ = ["Watching"]

_log = logging.getLogger(__name__)

_EVERY_S = 5.0


class Watching:
    """The loads of some tables.

    Attributes:
        found: the loads of each table by its ident, as last seen; replaced as a whole.
    """

    def __init__(
        self, *, lake: Path | str, running: Callable[[], Mapping[str, tables.Table]]
    ) -> None:
        """Know nothing yet.

        Args:
            lake: what the tables' paths are below.
            running: gives the tables to look at, by ident.
        """
        self.found: Mapping[str, tuple[Told, ...]] = {}
        self._lake = lake
        self._running = running
        self._plans: dict[tuple[str, str], Plan] = {}
        self._done: dict[tuple[str, str], Told] = {}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look every five seconds until the block ends: storage may be slow, so in a thread."""
        ended = threading.Event()

        def look() -> None:
            while not ended.is_set():
                self.look()
                ended.wait(_EVERY_S)

        # Not waited for: a look changes nothing, and a storage that hangs must not hold the end up.
        threading.Thread(target=look, name="loads", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def look(self) -> None:
        """Look once."""
        found: dict[str, tuple[Told, ...]] = {}
        for ident, table in self._running().items():
            try:
                found[ident] = self._loads(table)
            except PenstockError as error:
                _log.warning("the loads of %s are not told anew: %s", ident, error.message)
                found[ident] = self.found.get(ident, ())
        self.found = found

    def _loads(self, table: tables.Table) -> tuple[Told, ...]:
        loads = Loads(locate(table.path, lake=self._lake))
        told = (self._told(table.ident, loads, name) for name in loads.names())
        return tuple(each for each in told if each is not None)

    def _told(self, ident: str, loads: Loads, name: str) -> Told | None:
        if (done := self._done.get((ident, name))) is not None:
            return done
        plan = self._plans.get((ident, name)) or loads.read(name)
        if plan is None:
            return None
        self._plans[ident, name] = plan
        told = asking.told_of(loads, plan)
        if told.state == State.DONE:
            self._done[ident, name] = told
            del self._plans[ident, name]
        return told
