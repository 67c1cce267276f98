"""The inner loop of one table: gather a batch within the latency, commit it, tell how far it is.

    readers ─poll─▶ Batch ─(latency, records or bytes reached)─▶ Target.commit ─▶ Progress

Bounded: a batch closes at the limits, and what a reader may hold is bounded by its queue. Never
handles a failure: its owner throws it away and begins anew from the table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from penstock.ingest import plan
from penstock.ingest.apply import Batch, Target
from penstock.ingest.readers import ClusterReader
from penstock.ingest.settings import Limits

__all__ = ["Landing", "Progress", "State"]

_IDLE_POLL_S = 0.05
_IDLE_STEP_S = 0.5


class State(StrEnum):
    """What a table's worker does."""

    RUNNING = "running"
    WAITING = "waiting"
    """Something does not work now; it is tried again."""
    STOPPED = "stopped"
    """A person has to act; the error says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a table is.

    Attributes:
        rows: rows in the table.
        landed: rows this process has added.
        lag_records: records on the clusters that are not in the table yet.
        committed_at: of the last commit of this process.
        error: what does not work, with the next step; a cluster may be down while the table runs.
    """

    state: State = State.WAITING
    rows: int = 0
    landed: int = 0
    lag_records: int = 0
    committed_at: datetime | None = None
    error: str = ""


class Landing:
    """Where one table stands, and what is read for it."""

    def __init__(
        self,
        target: Target,
        readers: Sequence[ClusterReader],
        *,
        limits: Limits,
        stopping: threading.Event,
    ) -> None:
        """Begin where the table stands; a set ``stopping`` closes the batch that is gathered."""
        self._target = target
        self._readers = readers
        self._limits = limits
        self._stopping = stopping
        self._positions: plan.Positions = {
            partition: target.position(partition)
            for reader in readers
            for partition in reader.partitions
        }
        self._commit_ms = 0.0
        self._commits = 0

    def step(self, progress: Progress) -> Progress:
        """Gather and commit one batch, or find nothing for half a second.

        Raises:
            PenstockError: as `Target.commit` and `ClusterReader.poll`.
        """
        batch = self._gather()
        if batch.moved:
            before = self._target.lake.rows
            self._commit(batch)
            landed = progress.landed + self._target.lake.rows - before
            progress = replace(progress, landed=landed, committed_at=datetime.now(UTC))
        troubles = [reader.trouble for reader in self._readers if reader.trouble]
        stuck = len(troubles) == len(self._readers)
        return replace(
            progress,
            state=State.WAITING if stuck else State.RUNNING,
            rows=self._target.lake.rows,
            lag_records=sum(reader.lag(self._positions) for reader in self._readers),
            error="; ".join(troubles),
        )

    def _gather(self) -> Batch:
        batch = Batch(begin=self._positions)
        closes_at = time.monotonic() + _IDLE_STEP_S
        linger_s = plan.linger_ms(self._target.table.latency_ms, commit_ms=self._commit_ms) / 1000
        while not self._full(batch) and not self._stopping.is_set():
            if (left_s := closes_at - time.monotonic()) <= 0:
                break
            empty = not batch.moved
            self._poll(batch, timeout_s=min(left_s, _IDLE_POLL_S))
            if empty and batch.moved:
                closes_at = time.monotonic() + linger_s
        return batch

    def _poll(self, batch: Batch, *, timeout_s: float) -> None:
        for reader in self._readers:
            polled = reader.poll(timeout_s=timeout_s / len(self._readers))
            for gap in polled.gaps:
                batch.skip(gap)
            for records in polled.records:
                batch.add(records)

    def _full(self, batch: Batch) -> bool:
        limits = self._limits
        return batch.count >= limits.batch_records or batch.size_bytes >= limits.batch_bytes

    def _commit(self, batch: Batch) -> None:
        begun_at = time.monotonic()
        self._target.commit(batch)
        self._positions = batch.end
        self._commit_ms = (time.monotonic() - begun_at) * 1000
        self._commits += 1
        if self._commits % self._limits.compact_commits == 0:
            self._target.lake.tidy()
