"""What of a plan can still be read, asked of the clusters before Spark is sent to read it.

    ranges of plan N ─look─▶ first and end offset of each partition ─missing─▶ what to read, what is lost

Spark stops at an offset that is gone, or skips it in silence; so what was deleted since the batch
was planned is found here, and told. `missing` is pure; `Offsets` is the look at the clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from penstock.errors import NotFound, Refused
from penstock.ingest.plan import Gap, Partition
from penstock.kafka import clients
from penstock.model.clusters import Cluster
from penstock.sdk import credentials

__all__ = ["Offsets", "Span", "missing"]

Span = tuple[int, int]
"""The first offset and the one after the last."""

_WITHIN_S: Final = 10.0


class Offsets:
    """Looks at partitions; used by one thread. Reads no record."""

    def __init__(self, clusters: Mapping[str, Cluster], *, name: str) -> None:
        """Connect to nothing yet.

        Args:
            clusters: by name.
            name: of the clients.
        """
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
