"""One producer on one cluster, watched: a lane.

    records ─produce─▶ librdkafka ─▶ cluster
                          │ delivery callback
    attendant thread ─────┴─▶ acks, errors, the oldest record's age ─▶ breaker ─▶ on_shift

The attendant polls when traffic is sparse, so that an ack is known at once, and keeps out of the
way when the sender polls often enough itself: each callback takes the GIL, and a second poller
would fight the sender for it. An open breaker is closed again by a probe (metadata with a leader
and enough in-sync replicas for every partition), never by a user's record. Never decides where a
failed record goes next: that is `producer`'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.errors import PenstockError
from penstock.kafka import clients
from penstock.sdk.ages import Ages, Bucket
from penstock.sdk.breaker import Breaker, BreakerSettings
from penstock.sdk.deliveries import Journey

LaneSettled = Callable[
    ["Lane", clients.KafkaError | None, clients.Message, Bucket, Journey | str], None
]

__all__ = ["BUSY_SENDS_PER_TURN", "POLL_EVERY", "Lane", "LaneSettings"]

# The span of an age bucket, and the attendant's rhythm.
TURN_S = 0.05
# A sender polls after this many records within a turn.
POLL_EVERY = 128
# From this many records a turn on, the sender's own polling serves the acks well enough.
BUSY_SENDS_PER_TURN = 4 * POLL_EVERY
PROBE_TIMEOUT_S = 2.0
# The attendant was itself held up (a suspended machine, a stopped process): ages mean nothing.
HELD_UP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """What a lane is made of; a lane whose settings change is built anew.

    Attributes:
        cluster: the cluster's name.
        topic: the physical topic there.
        min_isr: in-sync replicas a partition needs to take writes.
        kafka: librdkafka's settings, address and credentials included.
        principal: who we are to the cluster, for messages.
    """

    cluster: str
    topic: str
    min_isr: int
    kafka: Mapping[str, Any]
    principal: str
    breaker: BreakerSettings


class Lane:
    """One librdkafka producer, the ages of its records, and the breaker of its cluster.

    Attributes:
        cluster: the cluster's name.
        topic: the physical topic there.
        produce: librdkafka's produce, for the hot path.
        ages: where the hot path counts.
        failures: what the connection told.
    """

    __slots__ = (
        "_attendant",
        "_breaker",
        "_closing",
        "_kafka",
        "_lock",
        "_min_isr",
        "_on_shift",
        "_on_turn",
        "_producer",
        "_sender_polls",
        "_wake",
        "ages",
        "cluster",
        "failures",
        "principal",
        "produce",
        "topic",
    )

    def __init__(
        self,
        settings: LaneSettings,
        *,
        settled: LaneSettled,
        on_shift: Callable[[Lane], None],
        on_turn: Callable[[Lane], None],
    ) -> None:
        """Open the producer and start the attendant, which warms the connection.

        Args:
            settings: of this lane.
            settled: takes failed records and sampled acks; called from polling threads.
            on_shift: called after the breaker opened or closed, from any thread.
            on_turn: called by the attendant some twenty times a second.
        """
        self.cluster = settings.cluster
        self.topic = settings.topic
        self.principal = settings.principal
        self._min_isr = settings.min_isr
        self._on_shift = on_shift
        self._on_turn = on_turn
        self._breaker = Breaker(settings.breaker, clock=time.monotonic)
        self._lock = threading.Lock()
        self._closing = False
        self._sender_polls = False
        self._wake = threading.Event()
        self._kafka = settings.kafka
        self.ages = Ages(clock=time.monotonic, settled=partial(settled, self))
        self._open()
        self._attendant = threading.Thread(
            target=self._attend, name=f"penstock-lane-{self.cluster}", daemon=True
        )
        self._attendant.start()

    def __len__(self) -> int:
        """Return how many records wait or are on the way."""
        return len(self._producer)

    @property
    def works(self) -> bool:
        """Tell whether the breaker lets records through."""
        return self._breaker.works

    @property
    def reason(self) -> str:
        """Return why the breaker opened last, or the connection's last error."""
        return self._breaker.reason or self.failures.reason

    def hand_over(self, journey: Journey) -> bool:
        """Give a record with a journey to librdkafka; False when there is no room, or no lane.

        Raises:
            PenstockError: when librdkafka refuses the record at once.
        """
        count_sent, _, bucket = self.ages.current
        count_sent()
        value, key, headers, timestamp_ms = journey.record
        settle = partial(bucket.settle, journey)
        try:
            self.produce(self.topic, value, key, -1, settle, None, timestamp_ms, headers)
        except (BufferError, RuntimeError):  # full, or closed since it was looked up
            bucket.uncount()
            return False
        except clients.KafkaException as error:
            bucket.uncount()
            if clients.kind_of(error.args[0]) is clients.ErrorKind.CLUSTER:
                self.trip(error.args[0].str())
            raise self.explain(error.args[0]) from error
        return True

    def explain(self, error: clients.KafkaError) -> PenstockError:
        """Return a failed record's error in Penstock's words."""
        return clients.explain(
            error,
            operation="produce to",
            topic=self.topic,
            cluster=self.cluster,
            principal=self.principal,
            reason=self.failures.reason,
        )

    def poll(self, timeout_s: float) -> None:
        """Serve callbacks; a sender that waits here keeps the attendant out."""
        if timeout_s:
            self._sender_polls = True
        try:
            self._producer.poll(timeout_s)
        except RuntimeError:  # closed by another thread
            return

    def wake(self) -> None:
        """Let the attendant poll at once: somebody waits for an ack."""
        self._wake.set()

    def trip(self, reason: str) -> None:
        """Open the breaker: no broker is left."""
        self._shift_if(lambda breaker: breaker.trip(reason))

    def record_acked(self) -> None:
        """Take note of an acked record; a sample of them is enough."""
        with self._lock:
            self._breaker.acked()

    def record_failed(self, reason: str) -> None:
        """Take note of a record that failed because of the cluster."""
        self._shift_if(lambda breaker: breaker.failed(reason))

    def purge(self) -> None:
        """Give every unacked record back, as failed; the callbacks come by the next polls."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)

    def flush(self, timeout_s: float) -> int:
        """Wait until nothing is on the way; return how much still is after the timeout."""
        try:
            return self._producer.flush(timeout_s)
        except RuntimeError:  # closed by another thread
            return 0

    def close(self, timeout_s: float) -> int:
        """Flush, stop the attendant, give up what is left; return how much that was."""
        left = self._producer.flush(timeout_s)
        if left:
            self._producer.purge()
        self._closing = True
        self._wake.set()
        if threading.current_thread() is not self._attendant:
            self._attendant.join()
        self._producer.flush(0)  # what was purged, or came while closing
        self._producer.close()
        return left

    def _attend(self) -> None:
        self._find_fault()  # connects and fetches the topic's metadata before the first record
        turned_at = time.monotonic()
        busy = False
        while not self._closing:
            if busy:
                self._wake.wait(TURN_S)
                self._wake.clear()
                self._producer.poll(0)
            else:
                self._producer.poll(TURN_S)
            now = time.monotonic()
            if now - turned_at < TURN_S:
                continue
            sent = self.ages.turn()
            busy = self._sender_polls or sent >= BUSY_SENDS_PER_TURN
            self._sender_polls = False
            self._watch(held_up=now - turned_at > HELD_UP_S)
            turned_at = now
            self._on_turn(self)

    def _watch(self, *, held_up: bool) -> None:
        oldest_s = 0.0 if held_up else self.ages.oldest_s()
        _, done = self.ages.totals()
        self._shift_if(lambda breaker: breaker.observe(done, oldest_s=oldest_s))
        with self._lock:
            probe = self._breaker.take_probe()
        if probe:
            threading.Thread(target=self._probe, name="penstock-probe", daemon=True).start()

    def _shift_if(self, event: Callable[[Breaker], bool]) -> None:
        with self._lock:
            shifted = event(self._breaker)
        if shifted:
            self._on_shift(self)

    def _open(self) -> None:
        self.failures = clients.Failures(on_all_down=self.trip)
        self._producer = clients.open_producer(self._kafka, failures=self.failures)
        self.produce = self._producer.produce

    def _probe(self) -> None:
        if self.failures.fatal:
            # librdkafka never takes another record after a fatal error; a new one does.
            dead = self._producer
            self._open()
            dead.purge()
            dead.close()
        fault = self._find_fault()
        with self._lock:
            self._breaker.probed(fault)
        if fault is None:
            self._on_shift(self)

    def _find_fault(self) -> str | None:
        """Return why the topic cannot be written to, or None."""
        try:
            metadata = self._producer.list_topics(self.topic, PROBE_TIMEOUT_S)
        except (clients.KafkaException, RuntimeError) as error:
            return self.failures.reason or str(error)
        topic = metadata.topics[self.topic]
        if topic.error is not None:
            return str(topic.error)
        for partition in topic.partitions.values():
            if partition.leader < 0 or len(partition.isrs) < self._min_isr:
                return f"partition {partition.id} has too few in-sync replicas"
        return None
