"""The door to one cluster's records: a consumer at the table's own offsets.

    positions ─assign─▶ consumer ─poll─▶ Chunks, Gaps        ─lag─▶ records still to come

Guarantee: records of a partition come in order, from the assigned offset on, none left out
without a gap that says so. Reads committed records only. Commits nothing to Kafka. While the
cluster is down `poll` gives nothing and `trouble` says why; it goes on by itself.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from penstock.errors import ConfigError, NotReady, Refused
from penstock.ingest import plan
from penstock.ingest.records import Chunk, Polled, from_messages
from penstock.kafka import clients
from penstock.model.clusters import Cluster
from penstock.sdk import credentials

__all__ = ["ClusterReader", "Reading"]

_POLL_RECORDS: Final = 10_000
_PROBE_EVERY_S: Final = 2.0
_PROBE_WITHIN_S: Final = 3.0
_LOOK_UP_WITHIN_S: Final = 10.0
_BEGINNING: Final = -2  # librdkafka's OFFSET_BEGINNING
_AT_END: Final = clients.KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
_OFFSET_GONE: Final = clients.KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001 - its public name
_SETTINGS: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A position that is gone must be told, never skipped.
    "auto.offset.reset": "error",
    # A topic that is made after the table is found within this time.
    "topic.metadata.refresh.interval.ms": 5_000,
    "reconnect.backoff.max.ms": 1_000,
    # After a full buffer fetching goes on at once: a second later, which is librdkafka's own, a table
    # that catches up would read one buffer a second.
    "fetch.queue.backoff.ms": 20,
    # A table may be written to for long between two polls, and there is no group to leave.
    "max.poll.interval.ms": 24 * 3600 * 1000,
}

_log = logging.getLogger(__name__)

# Any: the stubs allow a record without topic, partition or offset, which is never read.
_Message: TypeAlias = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read, for every cluster alike.

    Attributes:
        name: of the client and of the group that never commits.
        queue_kib: what may wait in memory.
        record_ids: whether to read the SDK's record id from the headers, which costs a
            microsecond a record.
        ends: whether to notice the end of each partition, see `ClusterReader.at_end`.
    """

    name: str
    queue_kib: int
    record_ids: bool = False
    ends: bool = False


class ClusterReader:
    """Reads one cluster's part of one topic.

    Attributes:
        cluster: the cluster's name.
        partitions: what is read.
        at_end: partitions whose last record has been read; kept only when asked for.
        trouble: why nothing can be read now; empty while it works.
    """

    def __init__(
        self,
        cluster: Cluster,
        sources: Sequence[plan.Source],
        *,
        begin: plan.Positions,
        reading: Reading,
        partitions: Sequence[plan.Partition] | None = None,
    ) -> None:
        """Begin to read; librdkafka connects in the background.

        Args:
            cluster: where to read.
            sources: the topics on it.
            begin: the next offset of each partition; absent for its beginning.
            reading: how.
            partitions: only these; else every one of the sources.

        Raises:
            ConfigError: when there is no way to reach the cluster.
        """
        self.cluster = cluster.name
        self.trouble = ""
        self.at_end: set[plan.Partition] = set()
        self._sources = {source.topic: source for source in sources}
        self._record_ids = reading.record_ids
        self._probe_at = 0.0
        self._prober = ThreadPoolExecutor(1, thread_name_prefix=f"probe-{cluster.name}")
        self._probing: tuple[str, Future[bool]] | None = None
        reach = credentials.reach(cluster, credentials.Credentials(), service=reading.name)
        self._principal = reach.principal
        self._failures = clients.Failures(on_all_down=self._note_down)
        settings = {
            **reach.settings,
            **_SETTINGS,
            "client.id": reading.name,
            "group.id": reading.name,
            "queued.max.messages.kbytes": reading.queue_kib,
            "enable.partition.eof": reading.ends,
        }
        self._consumer = clients.open_consumer(settings, failures=self._failures)
        self.partitions = list(partitions) if partitions is not None else _every(sources)
        self._consumer.assign(
            [
                clients.TopicPartition(p.topic, p.number, begin.get(p, _BEGINNING))
                for p in self.partitions
            ]
        )

    def poll(self, *, timeout_s: float, at_once: bool = False) -> Polled:
        """Return what has come, at most 10,000 records.

        Args:
            timeout_s: how long to wait for them.
            at_once: return as soon as there is any.

        Raises:
            Refused: when the cluster denies the topic, or the topic there is another one than was
                read before.
        """
        with _collecting_later():
            return self._read(self._fetch(timeout_s, at_once=at_once))

    def _read(self, messages: list[_Message]) -> Polled:
        by_topic: dict[str, list[_Message]] = defaultdict(list)
        gaps: list[plan.Gap] = []
        if messages and not any(map(type(messages[0]).error, messages)):
            by_topic = self._by_topic(messages)
        else:
            for message in messages:
                if (error := message.error()) is None:
                    by_topic[message.topic()].append(message)
                elif error.code() == _OFFSET_GONE:
                    gaps += self._resume(message)
                elif error.code() == _AT_END:
                    source = self._sources[message.topic()]
                    self.at_end.add(source.partition(message.partition()))
                else:
                    self._note(error, topic=message.topic())
        if by_topic:
            self.trouble = ""
        elif self.trouble:
            self._probe()
        chunks = tuple(self._chunk(topic, batch) for topic, batch in by_topic.items())
        return Polled(chunks=chunks, gaps=tuple(gaps), more=len(messages) >= _POLL_RECORDS)

    def _fetch(self, timeout_s: float, *, at_once: bool) -> list[_Message]:
        if not at_once:
            messages: list[_Message] = self._consumer.consume(_POLL_RECORDS, timeout_s)
            return messages
        messages = self._consumer.consume(_POLL_RECORDS, 0)
        if messages:
            return messages
        first: _Message = self._consumer.poll(timeout_s)
        return [first, *self._consumer.consume(_POLL_RECORDS - 1, 0)] if first is not None else []

    def _by_topic(self, messages: list[_Message]) -> dict[str, list[_Message]]:
        """Sort records by their topic; nearly always there is one, and nothing to sort."""
        if len(self._sources) == 1:
            return {next(iter(self._sources)): messages}
        by_topic: dict[str, list[_Message]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic()].append(message)
        return by_topic

    def offsets_at(self, timestamp_ms: int) -> dict[plan.Partition, int]:
        """Return the first offset at or after the time, of each partition.

        Raises:
            NotReady: when the cluster does not answer.
        """
        asked = [clients.TopicPartition(p.topic, p.number, timestamp_ms) for p in self.partitions]
        try:
            found = self._consumer.offsets_for_times(asked, timeout=_LOOK_UP_WITHIN_S)
        except clients.KafkaException as error:
            raise NotReady(
                f"cannot look up offsets by time on cluster {self.cluster!r}: {error}. Try again."
            ) from error
        return {
            partition: place.offset if place.offset >= 0 else self._watermarks(partition)[1]
            for partition, place in zip(self.partitions, found, strict=True)
        }

    def lag(self, positions: plan.Positions) -> int:
        """Return how many offsets lie between the positions and the newest records heard of."""
        return sum(
            max(0, self._newest(partition) - positions.get(partition, 0))
            for partition in self.partitions
        )

    def close(self) -> None:
        """Leave the cluster; waits for a probe that is under way."""
        self._prober.shutdown()
        self._consumer.close()

    def _chunk(self, topic: str, messages: Sequence[_Message]) -> Chunk:
        source = self._sources[topic]
        return Chunk(
            source=source, raw=from_messages(source, messages, record_ids=self._record_ids)
        )

    def _resume(self, message: _Message) -> list[plan.Gap]:
        """Go on after a position that the cluster does not have, if that is right."""
        partition = self._sources[message.topic()].partition(message.partition())
        place = clients.TopicPartition(partition.topic, partition.number)
        first, end = self._watermarks(partition)
        position = message.offset()
        gap = plan.find_gap(partition, position=position, first=first, end=end)
        if gap is None:
            raise Refused(
                f"{partition} ends at offset {end}, but the table has rows up to {position - 1}: "
                "the topic was made anew, or its cluster was replaced. Give the table another name "
                "to read the new topic."
            )
        if gap.records:
            _log.warning("%s: offsets %d to %d are gone", partition, gap.first, gap.end - 1)
        place.offset = gap.end
        # A seek is refused in this state; to leave the partition and come back is not.
        self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])
        return [gap] if gap.records else []

    def _note(self, error: clients.KafkaError, *, topic: str) -> None:
        explained = clients.explain(
            error,
            operation="consume",
            topic=topic,
            cluster=self.cluster,
            principal=self._principal,
            reason=self._failures.reason,
        )
        if isinstance(explained, Refused | ConfigError):
            raise explained
        self.trouble = explained.message

    def _note_down(self, reason: str) -> None:
        self.trouble = f"cluster {self.cluster!r} cannot be reached: {reason}"

    def _probe(self) -> None:
        """Find out whether the trouble is over, now and then: an idle topic would not tell.

        In another thread: a cluster that hangs, or a busy machine, takes seconds to answer, and
        the other clusters' records are not to wait for it.
        """
        if self._probing is not None:
            trouble, answered = self._probing
            if not answered.done():
                return
            self._probing = None
            if answered.result() and self.trouble == trouble:
                self.trouble = ""
        elif time.monotonic() >= self._probe_at:
            self._probe_at = time.monotonic() + _PROBE_EVERY_S
            self._probing = self.trouble, self._prober.submit(self._answers)

    def _answers(self) -> bool:
        for source in self._sources.values():
            place = clients.TopicPartition(source.topic, 0)
            try:
                self._consumer.get_watermark_offsets(place, timeout=_PROBE_WITHIN_S)
            except clients.KafkaException:
                return False
        return True

    def _watermarks(self, partition: plan.Partition) -> tuple[int, int]:
        place = clients.TopicPartition(partition.topic, partition.number)
        try:
            first, end = self._consumer.get_watermark_offsets(place, timeout=_LOOK_UP_WITHIN_S)
        except clients.KafkaException as error:
            raise NotReady(
                f"cannot look up the offsets of {partition}: {error}. Check that the cluster runs."
            ) from error
        return first, end

    def _newest(self, partition: plan.Partition) -> int:
        place = clients.TopicPartition(partition.topic, partition.number)
        _, end = self._consumer.get_watermark_offsets(place, cached=True)
        return int(end)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Keep Python from looking for cycles among ten thousand messages, which have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _every(sources: Sequence[plan.Source]) -> list[plan.Partition]:
    return [source.partition(n) for source in sources for n in range(source.partitions)]
