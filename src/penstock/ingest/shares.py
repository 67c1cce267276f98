"""This process's share of the tables, by leases.

    declared tables ─exchange─▶ announced, heard ─share─▶ leases taken or given ─▶ tables to run

Guarantee: gives a table only while this process holds its lease, as far as it can know; what it
cannot know the table's own log settles. Never waits: a storage that fails leaves things as they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from penstock.errors import ConfigError, NotReady
from penstock.ingest.leases import Lease
from penstock.ingest.locations import locate
from penstock.ingest.owners import Owner
from penstock.ingest.settings import Settings
from penstock.ingest.sharing import Announced, Announcements, share
from penstock.model import tables

__all__ = ["Shared"]

_log = logging.getLogger(__name__)


class Shared:
    """The leases of one process."""

    def __init__(
        self,
        settings: Settings,
        *,
        owner: Owner,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold nothing yet."""
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._given: set[str] = set()
        self._announcements = Announcements(
            locate(".penstock", lake=settings.lake),
            owner=owner,
            lasts_s=settings.lease_s,
            clock=clock,
        )
        self._exchanged_at = -settings.lease_s

    def exchange(
        self, declared: Mapping[str, tables.Table], *, running: set[str]
    ) -> Mapping[str, tables.Table]:
        """Renew, take and give leases now and then; return the tables to run.

        Args:
            declared: the tables this process may run, by ident.
            running: those it runs now.
        """
        late = self._clock() - self._exchanged_at >= self._settings.lease_s / 4
        if late or set(declared) - set(self._leases):
            self._exchanged_at = self._clock()
            try:
                self._renew(declared, running)
            except (NotReady, ConfigError) as error:
                _log.warning("the tables are not shared anew: %s", error.message)
        held = {ident for ident, lease in self._leases.items() if lease.mine}
        return {i: t for i, t in declared.items() if i in held and i not in self._given}

    def release(self, ident: str) -> None:
        """Let go of a table that this process does not run any more, for now or for good."""
        self._given.discard(ident)
        lease = self._leases.pop(ident, None)
        try:
            if lease is not None:
                lease.release()
        except NotReady as error:
            _log.warning("the lease of %s stays for its time: %s", ident, error.message)

    def leave(self) -> None:
        """Let go of everything: this process ends."""
        for ident in list(self._leases):
            self.release(ident)
        try:
            self._announcements.leave()
        except NotReady as error:
            _log.warning("the others find out by themselves: %s", error.message)

    def _renew(self, declared: Mapping[str, tables.Table], running: set[str]) -> None:
        for ident, table in declared.items():
            if ident not in self._leases:
                self._leases[ident] = self._lease(table)
        for ident in set(self._leases) - set(declared) - running:
            self.release(ident)
        for lease in self._leases.values():
            lease.renew()
        held = frozenset(ident for ident, lease in self._leases.items() if lease.mine)
        heard = self._announcements.exchange(Announced(wanted=frozenset(declared), held=held))
        holders = {ident: self._leases[ident].holder for ident in declared if ident in self._leases}
        shares = share(
            self._owner.name, heard, {i: o.name if o else None for i, o in holders.items()}
        )
        for ident in shares.take:
            if self._leases[ident].take():
                _log.info("table %s is run here", ident)
        for ident in shares.give:
            _log.info("table %s is given to another process", ident)
            self._given.add(ident)

    def _lease(self, table: tables.Table) -> Lease:
        return Lease(
            locate(table.path, lake=self._settings.lake),
            owner=self._owner,
            lasts_s=self._settings.lease_s,
            clock=self._clock,
        )
