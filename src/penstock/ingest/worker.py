"""Runs one table: read, gather, commit, and begin again from the table whenever something fails.

    table's log: last batch N ─▶ plan N ─▶ positions ─▶ readers ─Landing.step─▶ N + 1, N + 2, …
         ▲     └─ plan N + 1 is there, N + 1 is not in the log ─▶ run it again, exactly
         └───────── anything failed: wait, open anew ◀────────────────┘

Guarantee: nothing that was read is taken for landed before the table's own log says so; after any
failure the next try begins from what the log says. A failure that waiting cannot mend (a refusal, a
wrong declaration, too much poison) stops the table and says so; other tables go on.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from penstock.errors import Conflict, NotReady, PenstockError, RemoteError
from penstock.ingest import delta, letters, plan
from penstock.ingest.batches import read_again
from penstock.ingest.engines import Engine, ReadingEngine
from penstock.ingest.engines.opening import Spark, open_engine
from penstock.ingest.landing import Committing, Driving, Landing, bounds
from penstock.ingest.ledger import Ledger
from penstock.ingest.locations import Location, locate
from penstock.ingest.progress import Progress, State
from penstock.ingest.readers import ClusterReader, Reading
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
        lake: Path | str,
        limits: Limits,
        snapshot: Callable[[], Snapshot],
        spark: Spark | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            table: the declaration.
            lake: what the table's path is below.
            limits: what it may hold, and when it stops.
            snapshot: gives the newest metadata; called often.
            spark: gives where Spark runs; None where no table may.
        """
        self.table = table
        self.progress = Progress()
        self._lake = lake
        self._limits = limits
        self._snapshot = snapshot
        self._spark = spark
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
        snapshot = self._snapshot()
        sources = self._sources(snapshot)
        place = locate(self.table.path, lake=self._lake)
        ledger = Ledger(place)
        with closing(self._engine(place, snapshot, sources)) as engine:
            self.progress = replace(self.progress, rows=engine.rows, files=engine.files)
            self._finish(engine, ledger, snapshot)
            positions = ledger.standing(engine.last) or self._old(engine, place, sources)
            committing = Committing(self.table, engine, ledger, positions=positions, clock=_now)
            with self._steps(committing, snapshot, sources) as step:
                while not self._stopping.is_set() and self._still(snapshot, sources):
                    self.progress = step(self.progress)

    @contextmanager
    def _steps(
        self, committing: Committing, snapshot: Snapshot, sources: tuple[plan.Source, ...]
    ) -> Iterator[Callable[[Progress], Progress]]:
        """Give what does one batch after another, by the engine's way of reading."""
        engine = committing.engine
        if isinstance(engine, ReadingEngine):
            yield Driving(committing, engine, stopping=self._stopping).step
            return
        reading = self._reading(engine)
        with self._readers(snapshot, sources, reading, committing.positions) as readers:
            yield Landing(committing, readers, limits=self._limits, stopping=self._stopping).step

    def _engine(
        self, place: Location, snapshot: Snapshot, sources: tuple[plan.Source, ...]
    ) -> Engine:
        tally = plan.Tally(
            ratio=self.table.dead_letters.max_ratio, sample=self._limits.poison_sample
        )
        return open_engine(
            self.table,
            place,
            letters_place=letters.location(self.table, place, lake=self._lake),
            tally=tally,
            clock=_now,
            clusters=snapshot.clusters,
            sources=sources,
            records=bounds(self.table, self._limits).records,
            spark=self._spark,
        )

    def _reading(self, engine: Engine) -> Reading:
        return Reading(
            name=f"penstock-ingest-{self.table.name}",
            queue_kib=self._limits.queue_kib,
            record_ids=engine.record_ids,
        )

    def _finish(self, engine: Engine, ledger: Ledger, snapshot: Snapshot) -> None:
        """Run the batch again that was planned and not committed, if there is one."""
        pending = ledger.read(engine.last + 1)
        if pending is None:
            return
        _log.info("table %s: batch %d is run again", self.table.ident, pending.number)
        raw: pa.Table | None = None
        lost: tuple[plan.Gap, ...] = ()
        if pending.ranges and not isinstance(engine, ReadingEngine):
            reading = replace(self._reading(engine), ends=True)
            sources = plan.sources_of(pending.ranges)
            with self._readers(
                snapshot, sources, reading, pending.begin, only=pending.ranges
            ) as readers:
                raw, lost = read_again(pending, readers, stopping=self._stopping)
        engine.run(pending, raw, lost=lost)

    def _old(
        self, engine: Engine, place: Location, sources: tuple[plan.Source, ...]
    ) -> plan.Positions:
        """Return where version 0.1 left the table; nothing for a new one."""
        lake = delta.read_table(place) if engine.rows else None
        if lake is None:
            return {}
        partitions = [source.partition(n) for source in sources for n in range(source.partitions)]
        found = {p: lake.last(plan.old_app_id(self.table, p)) for p in partitions}
        return {partition: offset for partition, offset in found.items() if offset}

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
            and (not self.table.clusters or source.cluster in self.table.clusters)
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
        self,
        snapshot: Snapshot,
        sources: Sequence[plan.Source],
        reading: Reading,
        begin: plan.Positions,
        *,
        only: Collection[plan.Partition] | None = None,
    ) -> Iterator[list[ClusterReader]]:
        with ExitStack() as stack:
            readers = []
            for name in sorted({source.cluster for source in sources}):
                if name not in snapshot.clusters:
                    raise NotReady(
                        f"table {self.table.ident} has a batch of cluster {name!r}, which is not "
                        "declared any more. Declare it again until the batch is done."
                    )
                reader = ClusterReader(
                    snapshot.clusters[name],
                    [source for source in sources if source.cluster == name],
                    begin=begin,
                    reading=reading,
                    partitions=None if only is None else [p for p in only if p.cluster == name],
                )
                stack.callback(reader.close)
                readers.append(reader)
            yield readers


def _now() -> datetime:
    return datetime.now(UTC)
