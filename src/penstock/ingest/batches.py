"""Records gathered for one batch, and the planned ones read again.

    readers ─Gathered.add─▶ pieces, positions ─planned─▶ BatchPlan N + RAW
    BatchPlan N ─read_again─▶ the same RAW, and the gaps that came since

Guarantee: a batch holds each offset once, and nothing that the table has already. A plan read again
gives exactly its ranges; what the cluster has deleted since is a gap, never left out in silence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady
from penstock.ingest import plan
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.plan import Gap, Partition
from penstock.ingest.readers import ClusterReader
from penstock.ingest.records import RAW, Chunk

__all__ = ["Gathered", "follow", "read_again"]

_POLL_S = 0.2
_GIVE_UP_S = 10.0


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What one batch is to hold.

    Attributes:
        positions: where each partition stood before it.
        begin: the same, and the first offset of partitions that were never read before.
        end: where each partition stands after it.
    """

    positions: plan.Positions
    begin: dict[Partition, int] = field(init=False)
    end: dict[Partition, int] = field(init=False)
    gaps: list[Gap] = field(default_factory=list)
    pieces: list[pa.Table] = field(default_factory=list)
    count: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        """Begin where the table stands."""
        self.begin = dict(self.positions)
        self.end = dict(self.positions)

    def add(self, chunk: Chunk) -> None:
        """Add the records that are not in the batch or the table yet."""
        new, first, self.end = plan.take(self.end, chunk.source, chunk.raw)
        for partition, offset in first.items():
            self.begin.setdefault(partition, offset)
        if new.num_rows:
            self.pieces.append(new)
            self.count += new.num_rows
            self.size_bytes += new["value"].nbytes

    def skip(self, gap: Gap) -> None:
        """Add a gap, to be told in the dead letters."""
        self.gaps.append(gap)
        self.begin.setdefault(gap.partition, gap.first)
        self.end[gap.partition] = gap.end

    @property
    def moved(self) -> bool:
        """Tell whether there is anything in it."""
        return bool(self.pieces or self.gaps)

    @property
    def raw(self) -> pa.Table:
        """Return its records."""
        return pa.concat_tables([RAW.empty_table(), *self.pieces])

    def taken(self) -> pa.Table:
        """Return its records, and hold them no more."""
        raw = self.raw
        self.pieces, self.count, self.size_bytes = [], 0, 0
        return raw

    def planned(self, number: int) -> BatchPlan:
        """Return the plan of the batch."""
        return BatchPlan(number=number, begin=self.begin, end=self.end, gaps=tuple(self.gaps))


def read_again(
    batch: BatchPlan, readers: Sequence[ClusterReader], *, stopping: threading.Event
) -> tuple[pa.Table, tuple[Gap, ...]]:
    """Read exactly the records of a plan, and find what is gone since it was made.

    Args:
        batch: the plan.
        readers: of every cluster in it, at the plan's beginnings, noticing partitions' ends.
        stopping: gives up when set.

    Raises:
        NotReady: when a cluster does not give its records now.
    """
    gathered = Gathered(positions=batch.begin)
    for _ in follow(
        batch,
        readers,
        gathered,
        stopping=stopping,
        what=f"batch {batch.number} was planned and not committed, and its records",
    ):
        pass
    known = {(gap.partition, gap.first, gap.end) for gap in batch.gaps}
    lost = [g for g in gathered.gaps if g.records and (g.partition, g.first, g.end) not in known]
    return gathered.raw, tuple(lost)


def follow(
    batch: BatchPlan,
    readers: Sequence[ClusterReader],
    gathered: Gathered,
    *,
    stopping: threading.Event,
    what: str,
) -> Iterator[None]:
    """Read exactly the records of a plan, and stop after each look: what came may be taken out.

    Args:
        batch: the plan.
        readers: of every cluster in it, at the plan's beginnings, noticing partitions' ends.
        gathered: takes the records, and the gaps.
        stopping: gives up when set.
        what: is told not to come.

    Raises:
        NotReady: when a cluster does not give its records now.
    """
    missing = set(batch.ranges)
    quiet_since = time.monotonic()
    while missing:
        before = dict(gathered.end)
        for reader in readers:
            polled = reader.poll(timeout_s=_POLL_S / len(readers))
            for gap in polled.gaps:
                gathered.skip(_clipped(gap, batch))
            for chunk in polled.chunks:
                gathered.add(Chunk(source=chunk.source, raw=_within(chunk, batch)))
                missing -= _passed(chunk, batch)
            missing -= reader.at_end
        missing = {p for p in missing if gathered.end[p] < batch.end[p]}
        if gathered.end != before:
            quiet_since = time.monotonic()
        if stopping.is_set() or time.monotonic() - quiet_since > _GIVE_UP_S:
            troubles = "; ".join(r.trouble for r in readers if r.trouble)
            raise NotReady(
                f"{what} do not come: {troubles or 'the clusters give nothing'}. Check that the "
                "clusters run; then they are read again."
            )
        looked_at = time.monotonic()
        yield
        quiet_since += time.monotonic() - looked_at


def _clipped(gap: Gap, batch: BatchPlan) -> Gap:
    """Return the part of a gap that is the batch's."""
    end = min(gap.end, batch.end.get(gap.partition, gap.first))
    return Gap(partition=gap.partition, first=gap.first, end=max(gap.first, end))


def _within(chunk: Chunk, batch: BatchPlan) -> pa.Table:
    """Return the records of the chunk that are the batch's."""
    ends = [batch.end.get(chunk.source.partition(n), 0) for n in range(chunk.source.partitions)]
    end = pa.array(ends, pa.int64()).take(chunk.raw["partition"].combine_chunks())
    return chunk.raw.filter(compute.less(chunk.raw["offset"], end))


def _passed(chunk: Chunk, batch: BatchPlan) -> set[Partition]:
    """Return the partitions that have been read to the batch's end, or beyond."""
    newest = chunk.raw.group_by("partition", use_threads=False).aggregate([("offset", "max")])
    pairs = zip(newest["partition"].to_pylist(), newest["offset_max"].to_pylist(), strict=True)
    partitions = {chunk.source.partition(number): offset for number, offset in pairs}
    return {p for p, offset in partitions.items() if offset + 1 >= batch.end.get(p, 0)}
