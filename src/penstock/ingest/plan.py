"""The decisions of ingest: values in, values out; no client, clock or file.

    topics.Topic ─sources─▶ what to read      tables.Table + Partition ─old_app_id─▶ where 0.1 left it
    offsets read ─take─▶ those not yet in the table, and where to go on
    poison so far ─Tally─▶ go on, or stop      declared, existing columns ─difference─▶ why not

    a batch that is open ─closes─▶ commit it now, or read on
Guarantee: over any sequence of reads, with repeats and restarts, `take` lets each offset of a
partition pass once, in order, and positions only grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady
from penstock.model import tables, topics
from penstock.model.clusters import ClusterState
from penstock.model.metadata import Snapshot

__all__ = [
    "Bounds",
    "Gap",
    "Partition",
    "Positions",
    "Source",
    "Tally",
    "closes",
    "difference",
    "find_gap",
    "linger_ms",
    "old_app_id",
    "sources",
    "sources_for",
    "sources_of",
    "take",
]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Source:
    """A physical topic on one cluster."""

    cluster: str
    topic: str
    partitions: int

    def partition(self, number: int) -> Partition:
        """Return one of its partitions."""
        return Partition(cluster=self.cluster, topic=self.topic, number=number)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Partition:
    """One partition of one physical topic on one cluster."""

    cluster: str
    topic: str
    number: int

    def __str__(self) -> str:
        """Render as origins are written everywhere."""
        return f"{self.cluster}/{self.topic}/{self.number}"


Positions = Mapping[Partition, int]
"""The next offset to read, by partition; what is absent begins at the topic's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Records that were deleted on the cluster before they were read: ``first <= o < end``.

    Attributes:
        given_up: whether they may be there still, and a person gave them up.
    """

    partition: Partition
    first: int
    end: int
    given_up: bool = False

    @property
    def records(self) -> int:
        """Return how many offsets are gone."""
        return self.end - self.first


def sources(topic: topics.Topic) -> tuple[Source, ...]:
    """Return every physical topic that may hold records of the logical one.

    An epoch that is sealed is still read, to its end; one that has expired holds nothing.
    """
    partitions: dict[tuple[str, str], int] = {}
    for epoch in topic.epochs:
        if epoch.state is topics.EpochState.EXPIRED:
            continue
        for placement in epoch.placements:
            home = (placement.cluster, placement.topic)
            partitions[home] = max(placement.partitions, partitions.get(home, 0))
    return tuple(
        Source(cluster=cluster, topic=name, partitions=count)
        for (cluster, name), count in sorted(partitions.items())
    )


def sources_for(table: tables.Table, snapshot: Snapshot) -> tuple[Source, ...]:
    """Return what a table reads, as the metadata has it.

    Raises:
        NotReady: when the topic is not known, or on no cluster that is in use.
    """
    topic = snapshot.topics.get(f"{table.environment}/{table.topic}")
    if topic is None:
        raise NotReady(
            f"table {table.ident} is of topic {table.topic!r}, which the control plane does not "
            "know. Apply the estate: penstock apply."
        )
    found = tuple(
        source
        for source in sources(topic)
        if source.cluster in snapshot.clusters
        and (not table.clusters or source.cluster in table.clusters)
        and snapshot.clusters[source.cluster].state is not ClusterState.RETIRED
    )
    if not found:
        raise NotReady(
            f"topic {topic.ident} of table {table.ident} is on no cluster that is in use. Declare "
            "its clusters, then: penstock apply."
        )
    return found


def sources_of(partitions: Iterable[Partition]) -> tuple[Source, ...]:
    """Return the physical topics that the partitions are of, as far as the partitions tell."""
    counts: dict[tuple[str, str], int] = {}
    for each in partitions:
        home = (each.cluster, each.topic)
        counts[home] = max(each.number + 1, counts.get(home, 0))
    return tuple(
        Source(cluster=cluster, topic=topic, partitions=count)
        for (cluster, topic), count in sorted(counts.items())
    )


def old_app_id(table: tables.Table, partition: Partition) -> str:
    """Return the id under which version 0.1 kept the partition's next offset in the Delta log."""
    return f"penstock/{table.ident}/{partition}"


def take(
    positions: Positions, source: Source, raw: pa.Table
) -> tuple[pa.Table, dict[Partition, int], dict[Partition, int]]:
    """Return the records that are new, the first of each partition, and the positions after them.

    Args:
        positions: where each partition stands; unchanged.
        source: where the records were read.
        raw: records of that source, with ``partition`` and ``offset``.
    """
    spans = _spans(raw)
    standing = {number: positions.get(source.partition(number), 0) for number in spans}
    if any(first < standing[number] or not rising for number, (first, _, rising) in spans.items()):
        raw = _unseen(raw, standing)
        spans = _spans(raw)
    first = {source.partition(number): first for number, (first, _, _) in spans.items()}
    after = {source.partition(number): last + 1 for number, (_, last, _) in spans.items()}
    return raw, first, {**positions, **after}


def _spans(raw: pa.Table) -> dict[int, tuple[int, int, bool]]:
    """Return of each partition its first and last offset, and whether they rise strictly.

    Without a Python object a record: this is done for every record there is.
    """
    if not raw.num_rows:
        return {}
    partitions = raw["partition"].combine_chunks()
    order = compute.array_sort_indices(partitions)  # stable: offsets keep their order
    partitions, offsets = partitions.take(order), raw["offset"].combine_chunks().take(order)
    ends = compute.run_end_encode(partitions)
    spans: dict[int, tuple[int, int, bool]] = {}
    begin = 0
    for number, end in zip(ends.values.to_pylist(), ends.run_ends.to_pylist(), strict=True):
        run = offsets.slice(begin, end - begin)
        steps = compute.pairwise_diff(run)
        rising = len(run) == 1 or compute.min(steps).as_py() > 0
        spans[number] = run[0].as_py(), run[-1].as_py(), rising
        begin = end
    return spans


def _unseen(raw: pa.Table, standing: Mapping[int, int]) -> pa.Table:
    """Return the records from where each partition stands, each once: a rare, slow way."""
    next_offset = dict(standing)
    fresh: list[int] = []
    pairs = zip(raw["partition"].to_pylist(), raw["offset"].to_pylist(), strict=True)
    for index, (number, offset) in enumerate(pairs):
        if offset >= next_offset[number]:
            next_offset[number] = offset + 1
            fresh.append(index)
    return raw.take(pa.array(fresh, type=pa.int64()))


def find_gap(partition: Partition, *, position: int, first: int, end: int) -> Gap | None:
    """Say what to do about a position that the cluster no longer has: skip a gap, or stop.

    Args:
        partition: where.
        position: the next offset to read.
        first: the oldest offset on the cluster.
        end: the offset after the newest.

    Returns:
        The gap to record and skip (empty when the position is there after all), or None when the
        topic there is not the one that was read: its offsets begin anew, so going on would give
        two records the same coordinates.
    """
    if position > end:
        return None
    return Gap(partition=partition, first=position, end=max(position, first))


_POLLED_WITHIN_MS = 150
"""A record may have waited so long until it is seen."""


def linger_ms(latency_ms: int, *, commit_ms: float) -> float:
    """Return how long a batch may gather so that gather and commit stay within the latency.

    Half of the latency is kept for gathering whatever a commit takes; otherwise slow commits would
    make small batches, and small batches more commits.
    """
    return max(latency_ms / 2, latency_ms - 2 * commit_ms - _POLLED_WITHIN_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one batch may hold.

    Attributes:
        records: it closes at this many.
        size_bytes: it closes at this many bytes of values.
        drain_ms: it closes after so long, though there is more to read at once.
    """

    records: int
    size_bytes: int
    drain_ms: float = 5_000


def closes(
    bounds: Bounds, *, records: int, size_bytes: int, open_ms: float, linger_ms: float, more: bool
) -> bool:
    """Tell whether a batch that has records is to be committed now.

    While there is more to read at once the batch grows to its bounds, so a table that is behind
    catches up in large batches; when all was read it waits out what the latency leaves, so a
    table that is current commits what there is, in time.

    Args:
        bounds: what it may hold.
        records: it holds.
        size_bytes: of its values.
        open_ms: since its first record was read.
        linger_ms: how long it may gather for the latency's sake.
        more: whether the last look found as much as it could take.
    """
    if records >= bounds.records or size_bytes >= bounds.size_bytes:
        return True
    return open_ms >= (max(linger_ms, bounds.drain_ms) if more else linger_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The share of poison among the latest records; old ones fade out by halving.

    Attributes:
        ratio: the share above which the table stops.
        sample: the share means nothing before this many records.
    """

    ratio: float
    sample: int
    records: int = 0
    poison: int = 0

    def add(self, *, records: int, poison: int) -> Tally:
        """Return the tally with a batch counted in."""
        fade = 2 if self.records > 10 * self.sample else 1
        return replace(
            self, records=self.records // fade + records, poison=self.poison // fade + poison
        )

    @property
    def spoiled(self) -> bool:
        """Tell whether so much is poison that the declaration must be wrong."""
        return self.records >= self.sample and self.poison > self.ratio * self.records


def difference(*, declared: Mapping[str, str], existing: Mapping[str, str]) -> str:
    """Say how the columns of a table differ from its declaration; empty when they do not.

    Args:
        declared: type by column.
        existing: type by column, as the Delta log has them.
    """
    parts = [f"{name} is not in the table" for name in declared if name not in existing]
    parts += [f"{name} is not declared" for name in existing if name not in declared]
    parts += [
        f"{name} is {existing[name]} in the table and {kind} in the declaration"
        for name, kind in declared.items()
        if existing.get(name, kind) != kind
    ]
    return "; ".join(parts)
