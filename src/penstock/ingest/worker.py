"""Runs one table: read, gather, commit, and begin again from the table whenever something fails.

    snapshot ─▶ sources ─▶ readers at the table's positions ─gather─▶ Batch ─commit─▶ table
                                  ▲                                          │
                                  └──── anything failed: wait, open anew ◀───┘

Guarantee: nothing that was read is taken for landed before the table's own log says so; after any
failure the next try begins from what the log says. A failure that waiting cannot mend (a refusal, a
wrong declaration, too much poison) stops the table and says so; other tables go on.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from penstock.errors import Conflict, NotReady, PenstockError, RemoteError
from penstock.ingest import apply, plan
from penstock.ingest.landing import Landing, Progress, State
from penstock.ingest.readers import ClusterReader
from penstock.ingest.settings import Limits
from penstock.model import tables
from penstock.model.clusters import ClusterState
from penstock.model.metadata import Snapshot

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 0.5


class Worker:
    """One table's thread.

    Attributes:
        table: the declaration it runs by.
        progress: replaced as a whole, so any thread may read it.
    """

    def __init__(
        self,
        table: tables.Table,
        *,
        lake: Path,
        limits: Limits,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        """Start nothing yet.

        Args:
            table: the declaration.
            lake: what the table's path is below.
            limits: what it may hold, and when it stops.
            snapshot: gives the newest metadata; called often.
        """
        self.table = table
        self.progress = Progress()
        self._lake = lake
        self._limits = limits
        self._snapshot = snapshot
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ingest-{table.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end after the commit it is in; `join` waits for that."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; tell whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            committed_at = self.progress.committed_at
            try:
                self._ingest()
            except (NotReady, Conflict, RemoteError) as error:
                failures = 1 if self.progress.committed_at != committed_at else failures + 1
                self._report(State.WAITING, error)
                self._stopping.wait(self._backoff_s(failures))
            except PenstockError as error:
                self._report(State.STOPPED, error)
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours stops one table, not all
                _log.exception("table %s", self.table.ident)
                self._report(State.STOPPED, RemoteError(f"unexpected {error!r}; report this"))
                return

    def _backoff_s(self, failures: int) -> float:
        longest = min(self._limits.backoff_s, _FIRST_BACKOFF_S * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret

    def _report(self, state: State, error: PenstockError) -> None:
        _log.warning("table %s is %s: %s", self.table.ident, state, error.message)
        self.progress = replace(self.progress, state=state, error=error.message)

    def _ingest(self) -> None:
        """Run until asked to stop or until the metadata changes what to read."""
        tally = plan.Tally(ratio=self._limits.poison_ratio, sample=self._limits.poison_sample)
        target = apply.Target(
            self.table, lake=self._lake, tally=tally, clock=lambda: datetime.now(UTC)
        )
        self.progress = replace(self.progress, rows=target.lake.rows)
        snapshot = self._snapshot()
        sources = self._sources(snapshot)
        with self._readers(snapshot, sources, target) as readers:
            landing = Landing(target, readers, limits=self._limits, stopping=self._stopping)
            while not self._stopping.is_set() and self._still(snapshot, sources):
                self.progress = landing.step(self.progress)

    def _sources(self, snapshot: Snapshot) -> tuple[plan.Source, ...]:
        topic = snapshot.topics.get(f"{self.table.environment}/{self.table.topic}")
        if topic is None:
            raise NotReady(
                f"table {self.table.ident} is of topic {self.table.topic!r}, which the control "
                "plane does not know. Apply the estate: penstock apply."
            )
        sources = tuple(
            source
            for source in plan.sources(topic)
            if source.cluster in snapshot.clusters
            and snapshot.clusters[source.cluster].state is not ClusterState.RETIRED
        )
        if not sources:
            raise NotReady(
                f"topic {topic.ident} of table {self.table.ident} is on no cluster that is in use. "
                "Declare its clusters, then: penstock apply."
            )
        return sources

    def _still(self, snapshot: Snapshot, sources: tuple[plan.Source, ...]) -> bool:
        """Tell whether the newest metadata leaves the clusters and what to read there as it was."""
        newest = self._snapshot()
        if newest is snapshot:
            return True
        return self._sources(newest) == sources and all(
            newest.clusters[source.cluster].bootstrap == snapshot.clusters[source.cluster].bootstrap
            for source in sources
        )

    @contextmanager
    def _readers(
        self, snapshot: Snapshot, sources: tuple[plan.Source, ...], target: apply.Target
    ) -> Iterator[list[ClusterReader]]:
        with ExitStack() as stack:
            readers = []
            for name in sorted({source.cluster for source in sources}):
                reader = ClusterReader(
                    snapshot.clusters[name],
                    [source for source in sources if source.cluster == name],
                    position=target.position,
                    name=f"penstock-ingest-{self.table.name}",
                    queue_kib=self._limits.queue_kib,
                    record_ids=any(d.expression == "record_id" for d in self.table.derived),
                )
                stack.callback(reader.close)
                readers.append(reader)
            yield readers
