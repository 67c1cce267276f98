"""Batches cut by offsets alone: what Spark is sent to read, without reading a record here.

    clusters ─look─▶ first and end offset of each partition ─next_batch─▶ BatchPlan N
    a plan about to run + what is there now ─missing─▶ what to read, what was lost meanwhile

Spark stops at an offset that is gone, or skips it in silence; so what was deleted is found here, and
told. A partition that was never read begins at its oldest record. `next_batch` and `missing` are
pure; `Offsets` is the look at the clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from penstock.errors import NotFound, NotReady, Refused
from penstock.ingest import plan
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.plan import Gap, Partition, Positions, Source
from penstock.kafka import clients
from penstock.model.clusters import Cluster
from penstock.sdk import credentials

__all__ = ["Offsets", "Span", "missing", "next_batch"]

Span = tuple[int, int]
"""The first offset and the one after the last."""

_WITHIN_S: Final = 10.0


class Offsets:
    """Looks at partitions; used by one thread. Reads no record.

    Attributes:
        trouble: why clusters did not answer when all was looked at last; empty when all did.
    """

    def __init__(self, clusters: Mapping[str, Cluster], *, name: str) -> None:
        """Connect to nothing yet.

        Args:
            clusters: by name.
            name: of the clients.
        """
        self.trouble = ""
        self._clusters = clusters
        self._name = name
        self._reached: dict[str, credentials.Reach] = {}
        self._consumers: dict[str, clients.Consumer] = {}

    def reach(self, cluster: str) -> credentials.Reach:
        """Return how to connect to the cluster.

        Raises:
            NotFound: when it is not declared any more.
            ConfigError: when there is no way to reach it.
        """
        if cluster not in self._clusters:
            raise NotFound(
                f"a batch was planned of cluster {cluster!r}, which is not declared any more. "
                "Declare it again until the batch is done."
            )
        if cluster not in self._reached:
            self._reached[cluster] = credentials.reach(
                self._clusters[cluster], credentials.Credentials(), service=self._name
            )
        return self._reached[cluster]

    def look_everywhere(self, sources: Iterable[Source]) -> dict[Partition, Span]:
        """Return what each partition has on the clusters that answer.

        Raises:
            NotReady: when none of them does.
            Refused: when a cluster denies a topic.
        """
        spans: dict[Partition, Span] = {}
        troubles: dict[str, str] = {}
        for source in sources:
            if source.cluster in troubles:
                continue
            try:
                spans |= self.look(map(source.partition, range(source.partitions)))
            except NotReady as error:
                troubles[source.cluster] = error.message
        self.trouble = "; ".join(troubles.values())
        if not spans:
            raise NotReady(self.trouble)
        return spans

    def look(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        """Return what each partition has.

        Raises:
            NotReady: when a cluster does not answer.
            Refused: when it denies the topic.
        """
        return {partition: self._span(partition) for partition in partitions}

    def close(self) -> None:
        """Leave the clusters."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()

    def _span(self, partition: Partition) -> Span:
        place = clients.TopicPartition(partition.topic, partition.number)
        try:
            first, end = self._consumer(partition.cluster).get_watermark_offsets(
                place, timeout=_WITHIN_S, cached=False
            )
        except clients.KafkaException as error:
            raise clients.explain(
                error.args[0],
                operation="look up the offsets of",
                topic=partition.topic,
                cluster=partition.cluster,
                principal=self.reach(partition.cluster).principal,
            ) from error
        return first, end

    def _consumer(self, cluster: str) -> clients.Consumer:
        if cluster not in self._consumers:
            self._consumers[cluster] = clients.open_consumer(
                {**self.reach(cluster).settings, "group.id": self._name},
                failures=clients.Failures(),
            )
        return self._consumers[cluster]


def next_batch(
    number: int, standing: Positions, spans: Mapping[Partition, Span], *, records: int
) -> BatchPlan | None:
    """Return the plan of the next batch; None when there is nothing new.

    Args:
        number: of the batch.
        standing: where the table stands.
        spans: of the partitions that can be read now.
        records: at most about so many, shared by the partitions as they are behind.

    Raises:
        Refused: when a topic is not the one that was read before.
    """
    begin: dict[Partition, int] = {}
    gaps: list[Gap] = []
    for partition, (first, end) in spans.items():
        position = standing.get(partition, first)
        gap = plan.find_gap(partition, position=position, first=first, end=end)
        if gap is None:
            raise _made_anew(partition, end=end, position=position)
        if gap.records:
            gaps.append(gap)
        begin[partition] = gap.end
    taken = _shares({p: end - begin[p] for p, (_, end) in spans.items()}, records)
    if not gaps and not any(taken.values()):
        return None
    after = {partition: begin[partition] + taken[partition] for partition in spans}
    return BatchPlan(
        number=number, begin={**standing, **begin}, end={**standing, **after}, gaps=tuple(gaps)
    )


def _shares(behind: Mapping[Partition, int], limit: int) -> dict[Partition, int]:
    """Return how many offsets to take of each, in proportion: none waits for another's backlog."""
    whole = sum(behind.values())
    if whole <= limit:
        return dict(behind)
    return {p: min(count, max(1, count * limit // whole)) for p, count in behind.items()}


def missing(
    ranges: Mapping[Partition, Span], spans: Mapping[Partition, Span], *, gaps: Sequence[Gap]
) -> tuple[dict[Partition, Span], tuple[Gap, ...]]:
    """Return what can be read of planned ranges, and what was lost since they were planned.

    Args:
        ranges: of the plan.
        spans: what the partitions have now.
        gaps: what was gone already when it was planned.

    Raises:
        Refused: when a topic is not the one that was planned for.
    """
    left: dict[Partition, Span] = {}
    lost: list[Gap] = []
    told = {gap.partition: gap.end for gap in gaps}
    for partition, (first, end) in ranges.items():
        oldest, newest = spans[partition]
        if end > newest:
            raise _made_anew(partition, end=newest, position=end)
        first = max(first, told.get(partition, first))  # noqa: PLW2901 - a gap is told by the plan
        begin = min(max(first, oldest), end)
        if first < begin:
            lost.append(Gap(partition=partition, first=first, end=begin))
        if begin < end:
            left[partition] = begin, end
    return left, tuple(lost)


def _made_anew(partition: Partition, *, end: int, position: int) -> Refused:
    return Refused(
        f"{partition} ends at offset {end}, but a batch of the table reaches to {position - 1}: the "
        "topic was made anew, or its cluster was replaced. Give the table another name to read the "
        "new topic."
    )
