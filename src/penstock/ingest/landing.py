"""The inner loop of one table: gather a batch within the latency, write its plan, carry it out.

    readers ─poll─▶ Gathered ─closes─▶ plan N ─▶ ledger ─▶ Engine.run ─▶ Progress
    an engine that reads by itself ─next_plan─▶ plan N ─▶ ledger ─▶ Engine.run ─▶ Progress

Bounded: a batch closes at the limits, and what a reader may hold is bounded by its queue: while a
batch is committed nobody polls, the queues fill up, and the clients stop fetching. Never handles a
failure: its owner throws it away and begins anew from the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import plan
from penstock.ingest.batches import Gathered
from penstock.ingest.engines import Engine, ReadingEngine, Report
from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.orders import Watch
from penstock.ingest.progress import Batch, Progress, State
from penstock.ingest.readers import ClusterReader
from penstock.ingest.settings import Limits
from penstock.model import tables

__all__ = ["Committing", "Driving", "Landing", "bounds"]

_IDLE_POLL_S = 0.05
_IDLE_STEP_S = 0.5
_AT_ONCE_MS = 100
_KEPT_BATCHES = 100


def bounds(table: tables.Table, limits: Limits) -> plan.Bounds:
    """Return what one batch of the table may hold.

    A merge rewrites files, and a batch ten times as large touches hardly more of them: so it may
    grow as far as the memory allows: 128 MiB of values took up to 3.4 GB to merge, 256 MiB 5.2 GB.
    Appends gain nothing beyond the smaller bound.
    """
    if table.engine is tables.Engine.SPARK:
        return plan.Bounds(records=limits.spark_records, size_bytes=limits.batch_bytes)
    larger = 1 if table.mode is tables.TableMode.APPEND else limits.merge_factor
    return plan.Bounds(
        records=limits.batch_records * larger, size_bytes=limits.batch_bytes * min(larger, 2)
    )


class Committing:
    """The batches of one table, one after another.

    Attributes:
        positions: where the table stands.
        commit_ms: how long the last batch took.
    """

    def __init__(
        self,
        table: tables.Table,
        engine: Engine,
        ledger: Ledger,
        *,
        positions: plan.Positions,
        clock: Callable[[], datetime],
    ) -> None:
        """Begin where the table stands."""
        self.table = table
        self.engine = engine
        self.positions = positions
        self.commit_ms = 0.0
        self._ledger = ledger
        self._clock = clock
        self._commits = 0

    def commit(self, batch: BatchPlan, raw: pa.Table | None, progress: Progress) -> Progress:
        """Write the plan, carry it out, and tell.

        Raises:
            PenstockError: as `Engine.run`; what was planned is then run again.
        """
        begun_at = time.monotonic()
        self._ledger.write(batch)
        report = self.engine.run(batch, raw)
        self.positions = batch.end
        self.commit_ms = (time.monotonic() - begun_at) * 1000
        self._ledger.forget(batch.number)
        self._commits += 1
        told = _told(batch, report, raw, at=self._clock(), duration_ms=self.commit_ms)
        progress = replace(noted(progress, told), rows=self.engine.rows)
        if self._commits % self.table.compaction.commits == 0:
            self.engine.tidy()
            progress = replace(progress, files=self.engine.files)
        return progress

    def linger_ms(self) -> float:
        """Return how long the next batch may gather for the latency's sake."""
        return plan.linger_ms(self.table.latency_ms, commit_ms=self.commit_ms)


class Landing:
    """Gathers what readers bring, and commits it."""

    def __init__(
        self,
        committing: Committing,
        readers: Sequence[ClusterReader],
        *,
        limits: Limits,
        watch: Watch,
    ) -> None:
        """Read for the table; a set ``watch`` closes the batch that is gathered."""
        self._committing = committing
        self._readers = readers
        self._bounds = bounds(committing.table, limits)
        self._watch = watch

    def step(self, progress: Progress) -> Progress:
        """Gather and commit one batch, or find nothing for half a second.

        Raises:
            PenstockError: as `Engine.run` and `ClusterReader.poll`.
        """
        gathered = self._gather()
        if gathered.moved:
            batch = gathered.planned(self._committing.engine.last + 1)
            progress = self._committing.commit(batch, gathered.raw, progress)
        troubles = [reader.trouble for reader in self._readers if reader.trouble]
        stuck = len(troubles) == len(self._readers)
        lag = sum(reader.lag(self._committing.positions) for reader in self._readers)
        return standing(progress, lag=lag, stuck=stuck, error="; ".join(troubles))

    def _gather(self) -> Gathered:
        gathered = Gathered(positions=self._committing.positions)
        linger_ms = self._committing.linger_ms()
        begun_at = idle_since = time.monotonic()
        while not self._watch.is_set():
            more = self._poll(gathered, at_once=linger_ms < _AT_ONCE_MS)
            now = time.monotonic()
            if not gathered.moved:
                begun_at = now
                if now - idle_since > _IDLE_STEP_S:
                    break
            elif plan.closes(
                self._bounds,
                records=gathered.count,
                size_bytes=gathered.size_bytes,
                open_ms=(now - begun_at) * 1000,
                linger_ms=linger_ms,
                more=more,
            ):
                break
        return gathered

    def _poll(self, gathered: Gathered, *, at_once: bool) -> bool:
        more = False
        for reader in self._readers:
            polled = reader.poll(timeout_s=_IDLE_POLL_S / len(self._readers), at_once=at_once)
            more = more or polled.more
            for gap in polled.gaps:
                gathered.skip(gap)
            for chunk in polled.chunks:
                gathered.add(chunk)
        return more


class Driving:
    """Lets an engine that reads by itself look for what is new, and commit it."""

    def __init__(self, committing: Committing, engine: ReadingEngine, *, watch: Watch) -> None:
        """Drive the engine; a set ``watch`` ends a wait."""
        self._committing = committing
        self._engine = engine
        self._watch = watch

    def step(self, progress: Progress) -> Progress:
        """Plan and commit one batch, or find nothing for as long as the latency leaves.

        Raises:
            PenstockError: as `Engine.run`.
        """
        batch = self._engine.next_plan(self._engine.last + 1, self._committing.positions)
        if batch is not None:
            progress = self._committing.commit(batch, None, progress)
        lag = self._engine.lag(self._committing.positions)
        error = self._engine.trouble
        if not lag:
            self._watch.wait(max(_IDLE_STEP_S, self._committing.linger_ms() / 1000))
        return standing(progress, lag=lag, stuck=bool(error) and not lag, error=error)


def standing(progress: Progress, *, lag: int, stuck: bool, error: str) -> Progress:
    """Return the progress with what is still to come, and what does not work."""
    behind = progress.batches[-1].reached_ms / 1000 if lag and progress.batches else 0.0
    state = State.WAITING if stuck else State.RUNNING
    return replace(progress, state=state, lag_records=lag, lag_s=behind, error=error)


def noted(progress: Progress, batch: Batch) -> Progress:
    """Return the progress after a batch."""
    return replace(
        progress,
        files=progress.files + batch.files_added - batch.files_removed,
        landed=progress.landed + batch.inserted,
        letters=progress.letters + batch.letters,
        committed_at=batch.committed_at,
        batches=(*progress.batches, batch)[-_KEPT_BATCHES:],
    )


def _told(
    batch: BatchPlan, report: Report, raw: pa.Table | None, *, at: datetime, duration_ms: float
) -> Batch:
    oldest = compute.min(raw["timestamp_ms"]).as_py() if raw is not None else None
    outcome = report.outcome
    return Batch(
        number=batch.number,
        committed_at=at,
        records=report.records,
        inserted=outcome.inserted,
        updated=outcome.updated,
        deleted=outcome.deleted,
        letters=report.letters,
        duration_ms=round(duration_ms),
        files_added=outcome.files_added,
        files_removed=outcome.files_removed,
        reached_ms=max(0, round(at.timestamp() * 1000) - oldest) if oldest else 0,
    )
