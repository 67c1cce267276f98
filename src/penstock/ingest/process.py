"""The ingest process: a worker a table, and a status file.

    control plane ─tables─▶ Shared.exchange ─▶ this process's ─▶ workers ─▶ status.json, /metrics
    SIGTERM, SIGINT ─▶ every worker ends after its commit ─▶ exit

Tables that are declared later are started, those declared anew are restarted, those taken away are
stopped; their Delta tables stay. Several processes share the tables: one that starts takes its share,
each table between two of its batches, and those of one that dies go to the others. The control plane may be away at any time after the first start.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from penstock.ending import told_to_end
from penstock.errors import NotReady
from penstock.ingest import endpoint
from penstock.ingest.backfill.watching import Watching
from penstock.ingest.declared import Declared
from penstock.ingest.owners import me
from penstock.ingest.progress import Progress
from penstock.ingest.settings import Settings
from penstock.ingest.shares import Shared
from penstock.ingest.statuses import Statuses, write_atomically
from penstock.ingest.worker import Worker
from penstock.model import tables
from penstock.sdk.client import Client, connect
from penstock.sdk.control import find_control

__all__ = ["run"]

_log = logging.getLogger(__name__)

_TICK_S = 1.0
_TABLES_EVERY_TICKS = 5
_STOP_WITHIN_S = 30.0


def run(settings: Settings) -> None:
    """Land tables until SIGTERM or SIGINT.

    Raises:
        ConfigError: when the address to listen on is wrong.
        NotReady: when a worker does not end in time after that, or the port is taken; what was
            committed is kept.
    """
    stopping = told_to_end()
    with ExitStack() as stack:
        place = find_control(settings.control or None, home=settings.home)
        client = _connect(settings, stopping)
        if client is None:
            return
        stack.enter_context(client)
        process = _Process(settings, declared=Declared(settings, find=place.find), client=client)
        if settings.listen:
            address = stack.enter_context(endpoint.serve(settings.listen, process.progress))
            write_atomically(settings.state / "listen.json", json.dumps({"http": address}) + "\n")
        process.run(stopping)


def _connect(settings: Settings, stopping: threading.Event) -> Client | None:
    """Return a client, None when asked to stop; a first start waits for the control plane."""
    while not stopping.is_set():
        try:
            return connect("penstock-ingest", control=settings.control or None, home=settings.home)
        except NotReady as error:
            _log.warning("%s", error.message)
            stopping.wait(_TICK_S)
    return None


class _Process:
    """The workers, and what is told of them."""

    def __init__(self, settings: Settings, *, declared: Declared, client: Client) -> None:
        self._settings = settings
        self._declared = declared
        self._client = client
        self._owner = me()
        self._statuses = Statuses(self._owner)
        self._workers: dict[str, Worker] = {}
        self._shared = Shared(settings, owner=self._owner)
        self._loads = Watching(lake=settings.lake, running=self._tables)

    def run(self, stopping: threading.Event) -> None:
        with self._loads.looking():
            self._run(stopping)

    def _run(self, stopping: threading.Event) -> None:
        ticks = 0
        while not stopping.is_set():
            if ticks % _TABLES_EVERY_TICKS == 0:
                declared = self._declared.refresh()
            self._follow(self._shared.exchange(declared, running=self._running()))
            self._tell()
            ticks += 1
            stopping.wait(_TICK_S)
        self._stop(list(self._workers.values()))
        self._shared.leave()
        self._tell()

    def progress(self) -> dict[str, Progress]:
        """Return how far each table is, by its ident; any thread may ask."""
        loads = self._loads.found
        return {
            ident: replace(worker.progress, loads=loads.get(ident, ()))
            for ident, worker in list(self._workers.items())
        }

    def _tables(self) -> dict[str, tables.Table]:
        return {ident: worker.table for ident, worker in list(self._workers.items())}

    def _running(self) -> set[str]:
        return {ident for ident, worker in self._workers.items() if not worker.join(0)}

    def _follow(self, mine: Mapping[str, tables.Table]) -> None:
        """Run exactly the tables that are this process's, each as it is declared."""
        self._client.metadata.need(sorted({table.topic for table in mine.values()}))
        for ident, worker in list(self._workers.items()):
            if mine.get(ident) != worker.table:
                worker.stop()
                # A long commit is not waited for here: the other tables' leases are to be renewed.
                if worker.join(0):
                    del self._workers[ident]
                    self._shared.release(ident)
        for ident, table in mine.items():
            if ident not in self._workers:
                self._workers[ident] = Worker(
                    table,
                    lake=self._settings.lake,
                    limits=self._settings.limits,
                    snapshot=self._client.metadata.snapshot,
                    spark=self._settings.spark,
                )
                self._workers[ident].start()

    def _stop(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.stop()
        late = [w.table.ident for w in workers if not w.join(_STOP_WITHIN_S)]
        if late:
            raise NotReady(
                f"{', '.join(late)} did not end within {_STOP_WITHIN_S:g} s. Nothing is lost: "
                "start ingest again."
            )

    def _tell(self) -> None:
        declared = self._tables()
        progress = self.progress()
        told = {ident: (table, progress[ident]) for ident, table in declared.items()}
        self._statuses.write(self._settings.state, told)
