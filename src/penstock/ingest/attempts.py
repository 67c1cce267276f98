"""One attempt at running a table: from what its log says, until something fails or changes.

    table's log: last batch N ─▶ plan N ─▶ positions ─▶ readers ─Landing.step─▶ N + 1, N + 2, …
               └─ plan N + 1 is there, N + 1 is not in the log ─▶ run it again, exactly
                     └─ what it reads is declared no more ─▶ stop, until it is declared or given up
    between two batches ─▶ orders: pause, reset, replay, compact; the turn of a load

Guarantee: nothing that was read is taken for landed before the table's own log says so. Handles no
failure: its owner begins another attempt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from penstock.errors import ConfigError, NotReady, Refused
from penstock.ingest import bootstrap, delta, giving_up, letters, plan, turns
from penstock.ingest.batches import read_again
from penstock.ingest.engines import Engine, ReadingEngine
from penstock.ingest.engines.embedded import EmbeddedEngine
from penstock.ingest.engines.opening import Spark, open_engine
from penstock.ingest.landing import Committing, Driving, Landing, bounds
from penstock.ingest.ledger import BatchPlan, Kind, Ledger
from penstock.ingest.locations import locate
from penstock.ingest.obeying import Obeying, settle
from penstock.ingest.orders import Orders, Watch
from penstock.ingest.progress import Progress, State
from penstock.ingest.readers import ClusterReader, Reading
from penstock.ingest.settings import Limits
from penstock.model import tables
from penstock.model.metadata import Snapshot

__all__ = ["Attempt"]

_log = logging.getLogger(__name__)

_STILL_S = 1.0


class Attempt:
    """One table, as the newest metadata has it at the beginning."""

    def __init__(
        self,
        table: tables.Table,
        *,
        lake: Path | str,
        limits: Limits,
        snapshot: Callable[[], Snapshot],
        spark: Spark | None,
        stopping: threading.Event,
    ) -> None:
        """Find out what there is to read.

        Raises:
            NotReady: when the topic is not known, or on no cluster.
            ConfigError: when the table's path is in no store that is known.
        """
        self._table = table
        self._limits = limits
        self._newest = snapshot
        self._spark = spark
        self._stopping = stopping
        self._snapshot = snapshot()
        self._sources = plan.sources_for(table, self._snapshot)
        self._lake = lake
        self._place = locate(table.path, lake=lake)
        self._letters_place = letters.location(table, self._place, lake=lake)
        self._ledger = Ledger(self._place)
        self._orders = Orders(self._place)

    def run(self, progress: Progress) -> Iterator[Progress]:
        """Land records, and give how far the table is after each batch.

        Raises:
            PenstockError: whatever fails.
        """
        with closing(self._engine()) as engine:
            progress = replace(progress, rows=engine.rows, files=engine.files)
            yield progress
            if not self._bootstrapped(engine.last):
                return
            settle(
                engine.last,
                self._ledger,
                self._orders,
                self._replayer,
                letters_place=self._letters_place,
            )
            if self._finish(engine):
                return
            positions = self._ledger.standing(engine.last) or self._old(engine)
            committing = Committing(
                self._table, engine, self._ledger, positions=positions, clock=_now
            )
            yield from self._batches(committing, progress)

    def _bootstrapped(self, last: int) -> bool:
        """Load the snapshot of a table that has no batch yet; tell whether it may go on."""
        return bootstrap.prepare(
            self._table,
            self._place,
            last=last,
            lake=self._lake,
            at_time=self._at_time,
            clock=_now,
            stopping=self._stopping,
        )

    def _batches(self, committing: Committing, progress: Progress) -> Iterator[Progress]:
        watch = Watch(self._orders, turns.look_out(self._place), self._stopping)
        with self._steps(committing, watch) as step:
            while not self._stopping.is_set() and self._still():
                if watch.asked:
                    yield self._obeying(committing).carry_out(watch.asked[0], progress)
                    return
                progress = replace(progress, turn=watch.turn.name if watch.turn else "")
                if watch.still:
                    state = State.PAUSED if watch.paused else State.YIELDING
                    progress = replace(progress, state=state, error="")
                else:
                    progress = step(progress)
                yield progress
                if watch.still:
                    self._stopping.wait(_STILL_S)
                    watch.look()

    def _obeying(self, committing: Committing) -> Obeying:
        return Obeying(
            self._orders,
            committing,
            letters_place=self._letters_place,
            at_time=self._at_time,
            replayer=self._replayer,
        )

    @contextmanager
    def _steps(
        self, committing: Committing, watch: Watch
    ) -> Iterator[Callable[[Progress], Progress]]:
        """Give what does one batch after another, by the engine's way of reading."""
        engine = committing.engine
        if isinstance(engine, ReadingEngine):
            yield Driving(committing, engine, watch=watch).step
            return
        reading = self._reading(engine)
        with self._readers(self._sources, reading, committing.positions) as readers:
            yield Landing(committing, readers, limits=self._limits, watch=watch).step

    def _engine(self) -> Engine:
        return open_engine(
            self._table,
            self._place,
            letters_place=self._letters_place,
            tally=self._tally(),
            clock=_now,
            clusters=self._snapshot.clusters,
            sources=self._sources,
            records=bounds(self._table, self._limits).records,
            spark=self._spark,
        )

    def _replayer(self) -> EmbeddedEngine:
        return EmbeddedEngine(
            self._table,
            self._place,
            letters_place=self._letters_place,
            tally=self._tally(),
            clock=_now,
        )

    def _tally(self) -> plan.Tally:
        ratio = self._table.dead_letters.max_ratio
        return plan.Tally(ratio=ratio, sample=self._limits.poison_sample)

    def _finish(self, engine: Engine) -> bool:
        """Run the batch again that was planned and not committed; tell whether there was one."""
        pending = self._ledger.read(engine.last + 1)
        if pending is None:
            return False
        _log.info("table %s: batch %d is run again", self._table.ident, pending.number)
        if pending.kind is Kind.REPLAY:
            raw = letters.replayed(self._letters_place, pending.letters)
            self._replayer().run(pending, raw)
        else:
            self._finish_reading(pending, engine)
        return True

    def _finish_reading(self, pending: BatchPlan, engine: Engine) -> None:
        """Run a planned batch again, or what is left of it when a person gave the rest up.

        Raises:
            Blocked: when it cannot be read for want of what is declared no more.
        """
        removed = giving_up.removed(pending, self._sources)
        try:
            self._run_again(pending, engine)
        except (NotReady, Refused, ConfigError) as error:
            if not removed or self._stopping.is_set():
                raise
            _, waiting = self._orders.look()
            given_up = giving_up.given_up(waiting, removed)
            if left := [p for p in removed if p not in given_up]:
                raise giving_up.blocked(self._table, pending, left, why=error.message) from error
            rest, gaps = pending.without(given_up), giving_up.gaps(pending, given_up)
            self._run_again(rest, engine, given_up=gaps)
            for order in waiting:
                if order.without:
                    self._orders.done(order)

    def _run_again(
        self, pending: BatchPlan, engine: Engine, *, given_up: tuple[plan.Gap, ...] = ()
    ) -> None:
        if not pending.ranges or isinstance(engine, ReadingEngine):
            engine.run(pending, None, lost=given_up)
            return
        reading = replace(self._reading(engine), ends=True)
        sources = plan.sources_of(pending.ranges)
        with self._readers(sources, reading, pending.begin, only=pending.ranges) as readers:
            raw, lost = read_again(pending, readers, stopping=self._stopping)
        engine.run(pending, raw, lost=(*lost, *given_up))

    def _old(self, engine: Engine) -> plan.Positions:
        """Return where version 0.1 left the table; nothing for a new one."""
        lake = delta.read_table(self._place) if engine.rows else None
        if lake is None:
            return {}
        partitions = [s.partition(n) for s in self._sources for n in range(s.partitions)]
        found = {p: lake.last(plan.old_app_id(self._table, p)) for p in partitions}
        return {partition: offset for partition, offset in found.items() if offset}

    def _at_time(self, timestamp_ms: int) -> plan.Positions:
        reading = Reading(name=self._name, queue_kib=1_024)
        with self._readers(self._sources, reading, {}) as readers:
            return {p: o for reader in readers for p, o in reader.offsets_at(timestamp_ms).items()}

    @property
    def _name(self) -> str:
        return f"penstock-ingest-{self._table.name}"

    def _reading(self, engine: Engine) -> Reading:
        return Reading(
            name=self._name, queue_kib=self._limits.queue_kib, record_ids=engine.record_ids
        )

    def _still(self) -> bool:
        """Tell whether the newest metadata leaves the clusters and what to read there as it was."""
        newest = self._newest()
        if newest is self._snapshot:
            return True
        return plan.sources_for(self._table, newest) == self._sources and all(
            newest.clusters[s.cluster].bootstrap == self._snapshot.clusters[s.cluster].bootstrap
            for s in self._sources
        )

    @contextmanager
    def _readers(
        self,
        sources: Sequence[plan.Source],
        reading: Reading,
        begin: plan.Positions,
        *,
        only: Collection[plan.Partition] | None = None,
    ) -> Iterator[list[ClusterReader]]:
        with ExitStack() as stack:
            readers = []
            for name in sorted({source.cluster for source in sources}):
                if name not in self._snapshot.clusters:
                    raise NotReady(
                        f"cluster {name!r} of a planned batch of table {self._table.ident} is not "
                        "declared any more. Declare it again until the batch is done."
                    )
                reader = ClusterReader(
                    self._snapshot.clusters[name],
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
