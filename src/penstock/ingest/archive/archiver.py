"""A topic written to files, batch after batch.

    readers ─Gathered─▶ BatchPlan N ─▶ <path>/_penstock/batches/N.json
                                  └─layout─▶ files of N, each created once ─▶ _penstock/done/N

Guarantee: each record of the topic is in exactly one file. A batch is done when its mark is there;
until then its plan is run again as it stands, and its files have the same names and the same
content: one that is there is never written again. Of two processes at one archive each carries the
other's plans out. Commits nothing to Kafka, removes no file of records.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from penstock.errors import Conflict, NotReady, Refused, RemoteError
from penstock.ingest import plan
from penstock.ingest.archive import layout
from penstock.ingest.batches import Gathered, read_again
from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.locations import Location
from penstock.ingest.plan import Gap, Partition
from penstock.ingest.readers import ClusterReader, Reading
from penstock.model.metadata import Snapshot

__all__ = ["Archived", "Archiver", "Route"]

_log = logging.getLogger(__name__)

_ABOUT = "_penstock/archive.json"
_DONE = "_penstock/done"
_GAPS = "_penstock/gaps"
_KEPT = 16
_POLL_S = 0.5
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One topic on its way to one archive.

    Attributes:
        topic: ``environment/name``.
        place: of the archive; it holds this topic alone.
        kind: of its files.
        every_s: a record is in the archive at most so long after it can be read.
        records: a batch closes at so many.
        size_bytes: a batch closes at so many bytes of values.
    """

    topic: str
    place: Location
    kind: layout.Format = layout.Format.PARQUET
    every_s: float = 60.0
    records: int = 500_000
    size_bytes: int = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """How far an archive is.

    Attributes:
        number: of the last batch.
        records: archived by this process.
        lag: records still to come, as far as is known.
        error: why it waits; empty while it works.
    """

    number: int = 0
    records: int = 0
    lag: int = 0
    error: str = ""


class Archiver:
    """Carries one route out.

    Attributes:
        archived: replaced as a whole, so any thread may read it.
    """

    def __init__(
        self, route: Route, *, snapshot: Callable[[], Snapshot], stopping: threading.Event
    ) -> None:
        """Start nothing yet.

        Args:
            route: what to do.
            snapshot: gives the newest metadata.
            stopping: ends `run` after the batch it is in.
        """
        self.archived = Archived()
        self._route = route
        self._newest = snapshot
        self._stopping = stopping
        self._ledger = Ledger(route.place)
        self._forgotten = 0

    def run(self) -> None:
        """Archive until asked to stop; waits while a cluster or the storage is away.

        Raises:
            Refused: when the path has the archive of another topic, or the topic is another one
                than was archived before.
            ConfigError: when there is no way to reach a cluster.
        """
        failures = 0
        while not self._stopping.is_set():
            before = self.archived.number
            try:
                self._attempt()
            except (NotReady, Conflict, RemoteError) as error:
                failures = 1 if self.archived.number != before else failures + 1
                self.archived = replace(self.archived, error=error.message)
                _log.warning("archive of %s waits: %s", self._route.topic, error.message)
                wait_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** (failures - 1))
                self._stopping.wait(wait_s)

    def _attempt(self) -> None:
        """Archive from what the marks say, until something changes.

        Raises:
            PenstockError: whatever fails.
        """
        self._claim()
        snapshot = self._newest()
        sources = _sources(self._route.topic, snapshot)
        last = self._last()
        pending = self._ledger.read(last + 1)
        if pending is not None:
            self._again(pending, snapshot)
            return
        standing = self._ledger.standing(last)
        with self._readers(snapshot, sources, standing) as readers:
            while not self._stopping.is_set() and _same(sources, self._route.topic, self._newest()):
                standing, last = self._step(readers, standing, last)

    def _claim(self) -> None:
        """Write down whose archive this is, or find out.

        Raises:
            Refused: when it is another topic's, or of the other format.
        """
        about = {"topic": self._route.topic, "format": self._route.kind.value}
        place = self._route.place
        if place.create(_ABOUT, json.dumps(about).encode()):
            return
        there = json.loads(place.get(_ABOUT) or b"{}")
        if there != about:
            raise Refused(
                f"{place} has the archive of topic {there.get('topic')} as {there.get('format')}. "
                "Give each topic a path of its own, and go on in the format that is there."
            )

    def _last(self) -> int:
        names = self._route.place.names(_DONE)
        return max((int(name.rpartition("/")[2]) for name in names), default=0)

    def _step(
        self, readers: Sequence[ClusterReader], standing: plan.Positions, last: int
    ) -> tuple[plan.Positions, int]:
        """Gather and archive one batch, unless there is nothing new; return where it stands then."""
        gathered = self._gather(readers, standing)
        lag = sum(reader.lag(gathered.end) for reader in readers)
        trouble = "; ".join(reader.trouble for reader in readers if reader.trouble)
        self.archived = replace(self.archived, lag=lag, error=trouble)
        if not gathered.moved:
            return standing, last
        batch = gathered.planned(last + 1)
        self._ledger.write(batch)
        self._write(batch, gathered.raw)
        return batch.end, batch.number

    def _gather(self, readers: Sequence[ClusterReader], standing: plan.Positions) -> Gathered:
        gathered = Gathered(positions=standing)
        until = time.monotonic() + self._route.every_s
        while not self._stopping.is_set() and (left_s := until - time.monotonic()) > 0:
            for reader in readers:
                polled = reader.poll(timeout_s=min(left_s, _POLL_S) / len(readers))
                for gap in polled.gaps:
                    gathered.skip(gap)
                for chunk in polled.chunks:
                    gathered.add(chunk)
            full = gathered.count >= self._route.records
            if full or gathered.size_bytes >= self._route.size_bytes:
                break
        return gathered

    def _again(self, batch: BatchPlan, snapshot: Snapshot) -> None:
        """Carry out the plan that was written and not done."""
        _log.info("archive of %s: batch %d is run again", self._route.topic, batch.number)
        partitions = list(batch.ranges)
        sources = plan.sources_of(partitions)
        with self._readers(snapshot, sources, batch.begin, only=partitions) as readers:
            raw, lost = read_again(batch, readers, stopping=self._stopping)
        self._write(batch, raw, lost=lost)

    def _write(self, batch: BatchPlan, raw: pa.Table, *, lost: Sequence[Gap] = ()) -> None:
        place = self._route.place
        for name, rows in layout.files_of(batch.number, raw, self._route.kind):
            place.create(name, layout.encoded(rows, self._route.kind))
        if gaps := [*batch.gaps, *lost]:
            told = [[str(gap.partition), gap.first, gap.end] for gap in gaps]
            place.create(f"{_GAPS}/{batch.number}.json", json.dumps(told).encode())
            _log.warning("archive of %s has gaps: %s", self._route.topic, told)
        place.create(f"{_DONE}/{batch.number}", b"")
        self._forget(batch.number)
        records = self.archived.records + raw.num_rows
        self.archived = replace(self.archived, number=batch.number, records=records, error="")

    def _forget(self, number: int) -> None:
        """Remove marks far behind, now and then.

        Plans stay: a process that was stopped for long must find its own next number taken.
        """
        if number - self._forgotten < 2 * _KEPT:
            return
        names = self._route.place.names(_DONE)
        self._forgotten = number - _KEPT
        old = [name for name in names if int(name.rpartition("/")[2]) < self._forgotten]
        self._route.place.delete(*old)

    @contextmanager
    def _readers(
        self,
        snapshot: Snapshot,
        sources: Sequence[plan.Source],
        begin: plan.Positions,
        *,
        only: Sequence[Partition] | None = None,
    ) -> Iterator[list[ClusterReader]]:
        reading = Reading(
            name=f"penstock-archive-{self._route.topic.replace('/', '-')}",
            queue_kib=32 * 2**10,
            record_ids=True,
            ends=only is not None,
        )
        with ExitStack() as stack:
            readers = []
            for name in sorted({source.cluster for source in sources}):
                if name not in snapshot.clusters:
                    raise NotReady(
                        f"the archive of {self._route.topic} has a batch of cluster {name!r}, which "
                        "is not declared any more. Declare it again until the batch is done."
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


def _sources(topic: str, snapshot: Snapshot) -> tuple[plan.Source, ...]:
    declared = snapshot.topics.get(topic)
    if declared is None:
        raise NotReady(
            f"the control plane does not know topic {topic!r}. Apply the estate: penstock apply."
        )
    found = tuple(s for s in plan.sources(declared) if s.cluster in snapshot.clusters)
    if not found:
        raise NotReady(f"topic {topic} is on no cluster. Declare its clusters: penstock apply.")
    return found


def _same(sources: tuple[plan.Source, ...], topic: str, newest: Snapshot) -> bool:
    return topic in newest.topics and _sources(topic, newest) == sources
