"""Settle records: report acks, resend failures to the next cluster, give up with one clear error.

    delivery callback ─▶ acked  ─▶ report to whoever waits
                      └▶ failed ─▶ may another cluster take it? ─▶ resend, same id and headers
                                └▶ no ─▶ report, or keep for the next flush

The callback carries the message, so no list of records on the way is kept. Runs in polling
threads: never blocks, and lets no exception of a user's callback out.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from penstock.errors import NotReady, PenstockError
from penstock.kafka import clients
from penstock.kafka.clients import ErrorKind, KafkaError, Message
from penstock.sdk.ages import Bucket
from penstock.sdk.deliveries import Ack, Delivery, Journey, Outgoing
from penstock.sdk.lanes import Lane
from penstock.sdk.provenance import Header
from penstock.telemetry.metrics import SendMetrics

__all__ = ["Recovery"]

log = logging.getLogger("penstock.sdk.producer")

# Beyond this a record bounces between clusters that answer, but do not take it.
MAX_ATTEMPTS = 8


class Recovery:
    """What happens to the records of one producer after they were handed over.

    Attributes:
        waiting: failed records for which no queue had room yet.
    """

    def __init__(
        self,
        topic: str,
        *,
        timeout_s: float,
        again: Callable[[str], list[Header]],
        next_lane: Callable[[], Lane | None],
        explain_all: Callable[[], str],
        metrics: SendMetrics,
    ) -> None:
        """Begin with nothing failed.

        Args:
            topic: logical name.
            timeout_s: how long a record may wait for its ack.
            again: makes the headers of a plain record anew from its id.
            next_lane: the lane that takes records now, if any.
            explain_all: says which clusters do not work, and why; empty when all do.
            metrics: counts what is settled.
        """
        self._topic = topic
        self._timeout_s = timeout_s
        self._again = again
        self._next_lane = next_lane
        self._explain_all = explain_all
        self._metrics = metrics
        self._undelivered: list[PenstockError] = []
        self._undelivered_count = 0
        self.waiting: deque[Journey] = deque()

    def settled(
        self,
        lane: Lane,
        error: KafkaError | None,
        message: Message,
        bucket: Bucket,
        kept: Journey | str,
    ) -> None:
        """Take a failed record, an ack somebody waits for, or a sampled ack.

        Args:
            lane: it was handed to.
            error: why it failed, or None.
            message: librdkafka's view of it, without headers.
            bucket: it was counted in.
            kept: its journey, or the id of a record that has none.
        """
        if error is not None:
            self._failed(
                lane,
                error,
                kept if isinstance(kept, Journey) else self._begin(message, bucket, kept),
            )
            return
        lane.record_acked()
        self._metrics.sampled(lane.cluster, latency_s=message.latency() or 0.0, size=len(message))
        if isinstance(kept, Journey) and kept.on_delivery is not None:
            self._report(kept, self._acked(lane, message, kept))

    def joined(self, journey: Journey, delivery: Delivery) -> None:
        """Take the joint delivery of a replicated record."""
        if delivery.error is not None and journey.on_delivery is None:
            self._keep(delivery.error)
        self._report(journey, delivery)

    def resend_waiting(self) -> None:
        """Try again to hand over what found no room."""
        for _ in range(len(self.waiting)):
            try:
                journey = self.waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            self._resend(journey)

    def give_up_waiting(self) -> int:
        """Report what still finds no room as failed; return how many."""
        count = 0
        while self.waiting:
            journey = self.waiting.popleft()
            self._give_up(journey, NotReady(f"the producer to {self._topic!r} is closed."))
            count += 1
        return count

    def raise_undelivered(self) -> None:
        """Raise for the failed records nobody was told of, and forget them.

        Raises:
            PenstockError: the first one's, with the count in its message.
        """
        if not self._undelivered_count:
            return
        count, self._undelivered_count = self._undelivered_count, 0
        first = self._undelivered[0]
        self._undelivered.clear()
        first.args = (f"{count} records were not delivered; the first: {first.message}",)
        raise first

    def _begin(self, message: Message, bucket: Bucket, id_: str) -> Journey:
        """Return the journey of a record that had none: its first cluster failed."""
        record = Outgoing(message.value(), message.key(), self._again(id_), timestamp_ms=0)
        return Journey(record, bucket.opened_at + self._timeout_s)

    def _failed(self, lane: Lane, error: KafkaError, journey: Journey) -> None:
        kind = clients.kind_of(error)
        if kind is not ErrorKind.CLUSTER:
            self._give_up(journey, self._explain(lane, error))
            return
        if not clients.never_left(error, lane.failures):
            journey.possibly_doubled = True
        if not clients.was_purged(error):
            lane.record_failed(error.str())
        journey.attempts += 1
        target = self._next_lane()
        stuck = target is lane and not clients.was_purged(error)
        late = time.monotonic() > journey.deadline
        if journey.pinned or target is None or stuck or late or journey.attempts > MAX_ATTEMPTS:
            self._give_up(journey, self._explain(lane, error))
            return
        self._resend(journey)

    def _resend(self, journey: Journey) -> None:
        lane = self._next_lane()
        if lane is None:
            self._give_up(journey, NotReady(f"no cluster takes {self._topic!r} now."))
            return
        try:
            handed_over = lane.hand_over(journey)
        except PenstockError as error:
            self._give_up(journey, error)
            return
        if handed_over:
            self._metrics.resent(lane.cluster)
        else:
            self.waiting.append(journey)

    def _acked(self, lane: Lane, message: Message, journey: Journey) -> Delivery:
        id_ = journey.record.id
        ack = Ack(
            id=id_,
            topic=self._topic,
            cluster=lane.cluster,
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            possibly_doubled=journey.possibly_doubled,
        )
        return Delivery(id=id_, ack=ack, possibly_doubled=journey.possibly_doubled)

    def _explain(self, lane: Lane, error: KafkaError) -> PenstockError:
        everywhere = self._explain_all()
        if everywhere and clients.kind_of(error) is ErrorKind.CLUSTER:
            return NotReady(
                f"no cluster took a record to {self._topic!r} within {self._timeout_s:g} s:"
                f" {everywhere}. Check that they run and can be reached from here."
            )
        return lane.explain(error)

    def _give_up(self, journey: Journey, error: PenstockError) -> None:
        self._metrics.failed(type(error).__name__)
        delivery = Delivery(
            id=journey.record.id, error=error, possibly_doubled=journey.possibly_doubled
        )
        if journey.on_delivery is not None:
            self._report(journey, delivery)
            return
        self._keep(error)

    def _keep(self, error: PenstockError) -> None:
        """Remember for the next flush that nobody was told of a failure."""
        self._undelivered_count += 1
        if len(self._undelivered) == 0:
            self._undelivered.append(error)
            log.error("a record was not delivered: %s", error)

    def _report(self, journey: Journey, delivery: Delivery) -> None:
        if journey.on_delivery is None:
            return
        try:
            journey.on_delivery(delivery)
        except Exception:
            # Raised on, it would end the thread that polls, and with it every later ack.
            log.exception("on_delivery of a record to %s failed", self._topic)
