"""The decisions of ingest: values in, values out; no client, clock or file.

    topics.Topic ─sources─▶ what to read      tables.Table + Partition ─app_id─▶ where it stands
    offsets read ─take─▶ those not yet in the table, and where to go on
    poison so far ─Tally─▶ go on, or stop      declared, existing columns ─difference─▶ why not

Guarantee: over any sequence of reads, with repeats and restarts, `take` lets each offset of a
partition pass once, in order, and positions only grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.model import tables, topics

__all__ = [
    "Gap",
    "Partition",
    "Positions",
    "Source",
    "Tally",
    "app_id",
    "difference",
    "find_gap",
    "linger_ms",
    "sources",
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
    """Records that were deleted on the cluster before they were read: ``first <= o < end``."""

    partition: Partition
    first: int
    end: int

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


def app_id(table: tables.Table, partition: Partition) -> str:
    """Return the application id under which the Delta log keeps the partition's next offset."""
    return f"penstock/{table.ident}/{partition}"


def take(
    positions: Positions, source: Source, *, partitions: Sequence[int], offsets: Sequence[int]
) -> tuple[list[int], dict[Partition, int]]:
    """Return the indexes of the records that are new, and the positions after them.

    Args:
        positions: where each partition stands; unchanged.
        source: where the records were read.
        partitions: partition number of each record.
        offsets: offset of each record, as long as ``partitions``.
    """
    standing = {number: positions.get(source.partition(number), 0) for number in set(partitions)}
    fresh: list[int] = []
    for index, (number, offset) in enumerate(zip(partitions, offsets, strict=True)):
        if offset >= standing[number]:
            standing[number] = offset + 1
            fresh.append(index)
    moved = {source.partition(number): offset for number, offset in standing.items()}
    return fresh, {**positions, **{p: o for p, o in moved.items() if o > positions.get(p, 0)}}


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


def linger_ms(latency_ms: int, *, commit_ms: float) -> float:
    """Return how long a batch may gather so that gather and commit stay within the latency.

    Half of the latency is kept for gathering whatever a commit takes; otherwise slow commits would
    make small batches, and small batches more commits.
    """
    return max(latency_ms / 2, latency_ms - 2 * commit_ms)


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
