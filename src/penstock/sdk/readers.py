"""Read one cluster for a consumer, in a thread of its own.

    subscribe ─▶ poll ─▶ Inbox          acked positions ─▶ commit: each second, on revoke, on stop
                  ▲ full for a while: pause, keep polling, resume

Guarantee: at least once. Only positions the service acked are committed; those of a revoked
partition before it is given away. A cluster that is down is waited for, and said once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.kafka import clients
from penstock.kafka.clients import ErrorKind, KafkaError, KafkaException, Message, TopicPartition
from penstock.model.clusters import Cluster, ClusterState
from penstock.model.topics import EpochState, Topic
from penstock.sdk.credentials import Reach
from penstock.sdk.inbox import Inbox
from penstock.sdk.records import Batch, Source
from penstock.telemetry.metrics import ConsumeMetrics

__all__ = ["Reader", "ReaderSettings", "describe_readers"]

log = logging.getLogger("penstock.sdk.consumer")

POLL_S = 0.1
COMMIT_EVERY_S = 1.0
# Small, so that a batch is taken while it is still in the processor's cache; measured, a bigger
# one and a bigger buffer cost a fifth more CPU a record. librdkafka reads ahead on its own.
MAX_BATCH = 250
# Shorter waits for room need no pause: librdkafka's own buffer is bounded too, and a pause throws
# away what it holds.
PAUSE_AFTER_S = 1.0
STOP_TIMEOUT_S = 30.0

Position = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """What a reader is made of; a reader whose settings change is started anew.

    Attributes:
        cluster: the cluster's name.
        logical: logical topic names by the physical ones to read.
        kafka: librdkafka's settings, address, credentials and group included.
        principal: who we are to the cluster, for messages.
        group: the consumer group.
        service: for metrics.
    """

    cluster: str
    logical: Mapping[str, str]
    kafka: Mapping[str, Any]
    principal: str
    group: str
    service: str


def describe_readers(
    topics: Iterable[Topic],
    clusters: Mapping[str, Cluster],
    *,
    reach: Callable[[Cluster], Reach],
    kafka: Mapping[str, Any],
    service: str,
) -> dict[str, ReaderSettings]:
    """Return the readers the topics ask for, by cluster.

    Every cluster of every epoch that may still hold records, also cordoned and draining ones;
    retired ones are gone.
    """
    physical: dict[str, dict[str, str]] = {}
    for topic in topics:
        for epoch in topic.epochs:
            if epoch.state is EpochState.EXPIRED:
                continue
            for placement in epoch.placements:
                physical.setdefault(placement.cluster, {})[placement.topic] = topic.name
    readers: dict[str, ReaderSettings] = {}
    for name, logical in physical.items():
        cluster = clusters.get(name)
        if cluster is None or cluster.state is ClusterState.RETIRED:
            continue
        to = reach(cluster)
        readers[name] = ReaderSettings(
            cluster=name,
            logical=logical,
            kafka={**kafka, **to.settings},
            principal=to.principal,
            group=str(kafka["group.id"]),
            service=service,
        )
    return readers


class Reader:
    """Reads one cluster until it is stopped."""

    def __init__(self, settings: ReaderSettings, inbox: Inbox) -> None:
        """Open the consumer and start reading into ``inbox``."""
        self._settings = settings
        self._inbox = inbox
        self._lock = threading.Lock()
        self._acked: dict[Position, int] = {}
        self._owned: set[Position] = set()
        self._stopping = threading.Event()
        self._down = False
        self._last: Message | None = None
        self._read = 0
        self._metrics = ConsumeMetrics(
            group=settings.group, service=settings.service, cluster=settings.cluster
        )
        self.source = Source(settings.cluster, settings.logical)
        self._failures = clients.Failures(on_all_down=self._say_down)
        self._consumer = clients.open_consumer(settings.kafka, failures=self._failures)
        self._thread = threading.Thread(
            target=self._run, name=f"penstock-reader-{settings.cluster}", daemon=True
        )
        self._thread.start()

    def ack(self, positions: Mapping[Position, int]) -> None:
        """Take note of the next offsets to read, by partition; what we do not own is left out."""
        with self._lock:
            self._acked.update({p: o for p, o in positions.items() if p in self._owned})

    def assigned(self) -> bool:
        """Tell whether the group has given this reader partitions."""
        return bool(self._owned)

    def stop(self) -> None:
        """Begin to stop: commit what is acked, leave the group."""
        self._stopping.set()

    def join(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Wait until it has stopped."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._consumer.subscribe(
            list(self._settings.logical),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        committed_at = time.monotonic()
        while not self._stopping.is_set():
            if self._inbox.wait_for_room(PAUSE_AFTER_S):
                self._read_some()
            else:
                self._read_paused()
            if time.monotonic() - committed_at >= COMMIT_EVERY_S:
                self._commit(asynchronous=True)
                self._measure()
                committed_at = time.monotonic()
        self._commit(asynchronous=False)
        self._consumer.close()

    def _read_some(self) -> None:
        first = self._consumer.poll(POLL_S)
        if first is None:
            return
        # `consume` waits for a full batch; after the first record, take what is there.
        messages = [first, *self._consumer.consume(MAX_BATCH - 1, 0)]
        good = messages
        if any(map(Message.error, messages)):  # without a line of Python for each good one
            good = [message for message in messages if message.error() is None]
            for message in messages:
                self._take_error(message.error())
        if good:
            self._say_up()
            self._last = good[-1]
            self._read += len(good)
            self._inbox.put(Batch(good, self.source))

    def _read_paused(self) -> None:
        """Stay a member of the group while the service is busy: poll, but fetch nothing."""
        paused = self._consumer.assignment()
        self._consumer.pause(paused)
        while not self._stopping.is_set() and not self._inbox.wait_for_room(0):
            self._read_some()
        owned = self._consumer.assignment()
        self._consumer.resume([p for p in paused if p in owned])

    def _take_error(self, error: KafkaError | None) -> None:
        if error is None:
            return
        kind = clients.kind_of(error)
        if kind is ErrorKind.CLUSTER and not error.fatal():
            # It comes back by itself: a broker returns, a topic is created, the group is joined
            # again.
            log.warning("reading cluster %s: %s", self.source.cluster, error.str())
            return
        group = error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        subject = self._settings.group if group else ", ".join(self._settings.logical)
        self._inbox.fail(
            clients.explain(
                error,
                operation="join group" if group else "consume from",
                topic=subject,
                cluster=self.source.cluster,
                principal=self._settings.principal,
                reason=self._failures.reason,
            )
        )

    def _commit(self, *, asynchronous: bool) -> None:
        with self._lock:
            acked, self._acked = self._acked, {}
        self._commit_positions(acked, asynchronous=asynchronous)

    def _commit_positions(self, positions: Mapping[Position, int], *, asynchronous: bool) -> None:
        if not positions:
            return
        offsets = [TopicPartition(topic, p, offset) for (topic, p), offset in positions.items()]
        try:
            if asynchronous:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # At least once: what could not be committed is read again.
            log.warning("cluster %s: positions not committed: %s", self.source.cluster, error)

    def _assigned(self, _: object, partitions: list[TopicPartition]) -> None:
        with self._lock:
            self._owned.update(_positions(partitions))
        self._say_up()

    def _revoked(self, _: object, partitions: list[TopicPartition]) -> None:
        revoked = _positions(partitions)
        with self._lock:
            acked = {p: self._acked.pop(p) for p in revoked if p in self._acked}
            self._owned -= revoked
        self._commit_positions(acked, asynchronous=False)
        self._inbox.drop(self.source, revoked)

    def _lost(self, _: object, partitions: list[TopicPartition]) -> None:
        lost = _positions(partitions)
        with self._lock:
            self._owned -= lost
            for position in lost:
                self._acked.pop(position, None)
        self._inbox.drop(self.source, lost)

    def _measure(self) -> None:
        read, self._read = self._read, 0
        lag = 0
        for position in self._consumer.position(self._consumer.assignment()):
            _, end = self._consumer.get_watermark_offsets(position, cached=True)
            if position.offset >= 0 and end >= 0:
                lag += max(0, end - position.offset)
        written_ms = self._last.timestamp()[1] if self._last is not None else 0
        age_s = max(0.0, time.time() - written_ms / 1000) if read and written_ms > 0 else 0.0
        self._metrics.read(read, lag=lag, age_s=age_s)

    def _say_down(self, reason: str) -> None:
        if not self._down:
            self._down = True
            log.warning("cluster %s cannot be read now: %s", self.source.cluster, reason)

    def _say_up(self) -> None:
        if self._down:
            self._down = False
            log.warning("cluster %s is read again", self.source.cluster)


def _positions(partitions: list[TopicPartition]) -> set[Position]:
    return {(p.topic, p.partition) for p in partitions}
