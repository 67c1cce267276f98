"""The clients heard from: kept in memory, written to the store now and then, all at once.

    report ─▶ memory ─every second, one transaction─▶ store ─▶ list (of every control plane)

A thousand clients report within the second in which a switch reaches them: that must not be a
thousand transactions. What is lost in a crash is reported again.
"""

from __future__ import annotations

import asyncio
import logging

from penstock.control.store import clients
from penstock.control.store.clients import Report, SeenClient
from penstock.control.store.database import Database
from penstock.errors import PenstockError

__all__ = ["Registry"]

_log = logging.getLogger(__name__)

_FLUSH_S = 1.0


class Registry:
    """Clients of this control plane; used from one event loop."""

    def __init__(self, database: Database, *, forget_after_s: float) -> None:
        """Know nobody yet."""
        self._database = database
        self._forget_after_s = forget_after_s
        self._reports: dict[str, Report] = {}

    def note(self, report: Report) -> None:
        """Keep what a client says of itself."""
        if report.instance:
            self._reports[report.instance] = report

    async def run(self) -> None:
        """Write what was noted until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self.flush()
            except PenstockError as error:
                _log.warning("the clients' reports are not written: %s", error.message)

    async def flush(self) -> None:
        """Write what was noted since the last time.

        Raises:
            NotReady: when the store cannot be written; the reports are kept.
        """
        reports = dict(self._reports)
        if not reports:
            return
        await asyncio.to_thread(self._write, list(reports.values()))
        for instance, report in reports.items():
            if self._reports.get(instance) is report:
                del self._reports[instance]

    async def seen(self) -> list[SeenClient]:
        """Return the clients heard from lately, at any control plane of this store.

        Raises:
            NotReady: when the store does not answer.
        """
        await self.flush()
        return await asyncio.to_thread(self._read)

    def _write(self, reports: list[Report]) -> None:
        with self._database.write() as tx:
            clients.record(tx, reports, forget_after_s=self._forget_after_s)

    def _read(self) -> list[SeenClient]:
        with self._database.write() as tx:
            clients.record(tx, (), forget_after_s=self._forget_after_s)
            return clients.seen(tx)
