"""Send records to a logical topic, wherever it lives, through the loss of a cluster.

    send_nowait ─▶ stamp ─▶ current lane ─▶ acked: done
                      ▲                  └─▶ failed: Journey ─▶ next lane, same id ─▶ …
    metadata, breakers ─▶ switch ─▶ the current lane

Guarantee: every record that `send_nowait` took is either acked by a cluster of the topic's epoch
or reported as failed, to its `on_delivery` or by `flush` and `close`; none is dropped in silence.
A record that was resent after it may have arrived says so (`possibly_doubled`) and keeps its id.

The way of a record that is acked at the first try is `send_nowait` alone: no lock, no lookup, no
object kept. Everything else is decided when metadata or breakers change, or after a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Self

from penstock.errors import NotReady, PenstockError
from penstock.kafka import clients
from penstock.model.metadata import Snapshot
from penstock.model.topics import Placement, Routing
from penstock.sdk.deliveries import (
    Ack,
    Delivery,
    Journey,
    OnDelivery,
    Outgoing,
    Payload,
    Waiter,
)
from penstock.sdk.fanout import Fanout
from penstock.sdk.lanes import POLL_EVERY, Lane, LaneSettings
from penstock.sdk.provenance import Header, Stamp
from penstock.sdk.recovery import Recovery
from penstock.sdk.switch import Lanes, Switch
from penstock.telemetry.metrics import SendMetrics

__all__ = ["Producer", "ProducerSettings", "unwrap"]

_POLL_MASK = POLL_EVERY - 1
# How long a sender polls at a time while the queue is full.
_FULL_POLL_S = 0.02
_CLOSE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """What a producer is made of.

    Attributes:
        topic: logical name.
        environment: of the topic.
        service: who sends, for ``ce_source``.
        type: ``ce_type`` of records that name none.
        default_key: the key of records that have none; None leaves them without. One key a
            process keeps a fleet of senders from connecting to every broker.
        delivery_timeout_s: how long a record may wait for its ack.
        describe: makes the lane settings of a placement.
    """

    topic: str
    environment: str
    service: str
    type: str
    default_key: Payload
    delivery_timeout_s: float
    describe: Callable[[Placement, Snapshot], LaneSettings]


class Producer:
    """Sends to one topic; any thread may call it. Make one and keep it."""

    def __init__(self, settings: ProducerSettings, *, snapshot: Snapshot) -> None:
        """Open the topic's lanes as the snapshot has them; `refresh` follows later ones."""
        self._settings = settings
        self.default_key = settings.default_key
        self.stamp = Stamp(service=settings.service, type_=settings.type)
        self._lane: Lane | None = None
        self._turn = 0
        self._on_close: list[Callable[[], object]] = []
        self._metrics = SendMetrics(topic=settings.topic, service=settings.service)
        self._recovery = Recovery(
            settings.topic,
            timeout_s=settings.delivery_timeout_s,
            again=self.stamp.again,
            next_lane=self._next_lane,
            explain_all=self._explain_all,
            metrics=self._metrics,
        )
        self._switch = Switch(
            f"{settings.environment}/{settings.topic}",
            describe=settings.describe,
            open_lane=self._open_lane,
            on_switch=self._take_lanes,
            close_timeout_s=settings.delivery_timeout_s,
        )
        self.refresh(snapshot)

    @property
    def topic(self) -> str:
        """Return the logical topic's name."""
        return self._settings.topic

    @property
    def clusters(self) -> tuple[str, ...]:
        """Return the clusters new records go to."""
        return tuple(lane.cluster for lane in self._switch.current.targets)

    @property
    def unacked(self) -> int:
        """Return how many records are not settled yet."""
        return sum(map(len, self._switch.all_lanes)) + len(self._recovery.waiting)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Flush and close."""
        self.close()

    def send_nowait(
        self,
        value: Payload,
        key: Payload = None,
        *,
        type: str | None = None,  # noqa: A002 - CloudEvents' word
        headers: Iterable[Header] | None = None,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        timestamp_ms: int = 0,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        """Hand a record over; it is on its way when this returns.

        Waits only while the queue is full, up to the profile's delivery timeout.

        Args:
            value: the payload; None is a tombstone.
            key: equal keys share a partition; None takes the producer's default key.
            type: ``ce_type``; None takes the producer's.
            headers: more headers, after Penstock's.
            id: ``ce_id``; None makes one. A retry of your own must pass the id of the first try.
            timestamp_ms: event time in ms since 1970; 0 is now.
            on_delivery: called once, from another thread, with what became of the record. Without
                it, a failure is raised by the next `flush` or `close`.

        Raises:
            NotReady: when the queue stays full, or no cluster of the topic takes writes.
            DataError: when the record is larger than the topic takes.
        """
        if key is None:
            key = self.default_key
        lane = self._lane
        special = id or type or headers or timestamp_ms or on_delivery or self.stamp.traces
        if lane is None or special:
            record = Outgoing(value, key, self.stamp.special(id, type, headers), timestamp_ms)
            self._send_slowly(self.begin(record, on_delivery))
            return
        count_sent, delivered, bucket = lane.ages.current
        id_, stamped = self.stamp.plain()
        number = count_sent()
        try:
            lane.produce(lane.topic, value, key, -1, MethodType(delivered, id_), None, 0, stamped)
        except BufferError:
            bucket.uncount()
            self._make_room(lane)
            self.send_nowait(value, key)
        except (clients.KafkaException, RuntimeError):
            bucket.uncount()
            self._send_slowly(self.begin(Outgoing(value, key, stamped, 0), None))
        else:
            if not number & _POLL_MASK:
                lane.poll(0)

    def send(
        self,
        value: Payload,
        key: Payload = None,
        *,
        type: str | None = None,  # noqa: A002 - CloudEvents' word
        headers: Iterable[Header] | None = None,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        timestamp_ms: int = 0,
        timeout_s: float | None = None,
    ) -> Ack:
        """Send a record and return when every in-sync replica has it.

        Args:
            value: as in `send_nowait`, like the others.
            key: equal keys share a partition.
            type: ``ce_type``.
            headers: more headers.
            id: ``ce_id``.
            timestamp_ms: event time.
            timeout_s: how long to wait; None waits as long as the profile keeps the record.

        Raises:
            NotReady: when no cluster acked in time; after ``timeout_s`` it may still arrive.
            Refused: when the service may not write to the topic.
            DataError: when the record is larger than the topic takes.
        """
        waiter = Waiter()
        self.send_nowait(
            value,
            key,
            type=type,
            headers=headers,
            id=id,
            timestamp_ms=timestamp_ms,
            on_delivery=waiter,
        )
        self.wake()
        limit_s = self.longest_wait_s if timeout_s is None else timeout_s
        delivery = waiter.wait(limit_s)
        if delivery is None:
            raise self.no_ack(limit_s)
        return unwrap(delivery)

    def flush(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Wait until every record is settled.

        Raises:
            NotReady: when some are still on the way after the timeout; they stay there.
            PenstockError: the last failure of a record that had no `on_delivery`.
        """
        deadline = time.monotonic() + timeout_s
        while self.unacked:
            for lane in self._switch.all_lanes:
                lane.flush(min(0.1, max(0.0, deadline - time.monotonic())))
            self._recovery.resend_waiting()
            if time.monotonic() >= deadline and self.unacked:
                raise NotReady(
                    f"{self.unacked} records to {self.topic!r} are not acked after {timeout_s:g} s"
                    f" ({self._explain_all() or 'clusters work, but are slow'})."
                    " They are kept: flush again."
                )
        self._recovery.raise_undelivered()

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Flush, then close; closing twice is closing once.

        Raises:
            NotReady: counts the records that were not acked and are given up.
            PenstockError: the last failure of a record that had no `on_delivery`.
        """
        failure: PenstockError | None = None
        try:
            self.flush(timeout_s)
        except PenstockError as error:
            failure = error
        for call in self._on_close:
            call()
        self._on_close.clear()
        left = self._switch.close(0.0) + self._recovery.give_up_waiting()
        if left:
            raise NotReady(
                f"{left} records to {self.topic!r} were not acked when the producer closed; some"
                " may have arrived. Close with a longer timeout, or send them again with their ids."
            ) from failure
        if failure is not None:
            raise failure

    def on_close(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the producer is closed."""
        self._on_close.append(call)

    def abandon(self, reason: str) -> None:
        """Take no more records: this is a forked child, and the lanes' threads are the parent's."""
        self._switch.abandon(reason)

    def refresh(self, snapshot: Snapshot) -> None:
        """Follow new metadata: new records take the new lanes when this returns."""
        self._switch.refresh(snapshot)

    def offer(self, journey: Journey) -> bool:
        """Hand a record with a journey to its lane, or to all; False when the queue is full.

        Never waits: the asyncio producer is built on it.

        Raises:
            NotReady: when no cluster of the topic takes writes.
            DataError: when the record is larger than the topic takes.
        """
        lanes = self._switch.current
        if not lanes.targets:
            raise NotReady(
                f"topic {self.topic!r} takes no records: {lanes.reason}. Try again later."
            )
        self._turn += 1
        if not self._turn & _POLL_MASK:
            for lane in lanes.targets:
                lane.poll(0)
        if lanes.routing is Routing.REPLICATE:
            return self._offer_all(lanes, journey)
        roundrobin = lanes.routing is Routing.ROUNDROBIN
        lane = lanes.targets[self._turn % len(lanes.targets) if roundrobin else 0]
        try:
            return lane.hand_over(journey)
        except NotReady:
            if self._next_lane() in {None, lane}:
                raise
            return False  # its breaker has opened: the next try takes another cluster

    def begin(self, record: Outgoing, on_delivery: OnDelivery | None) -> Journey:
        """Return the journey of a record that somebody waits for; its deadline runs from now."""
        deadline = time.monotonic() + self._settings.delivery_timeout_s
        return Journey(record, deadline, on_delivery=on_delivery)

    @property
    def longest_wait_s(self) -> float:
        """Return how long an ack may take: its time on one cluster, and again on the next."""
        return 2 * self._settings.delivery_timeout_s

    def wake(self) -> None:
        """Let acks in at once: somebody waits for one."""
        for lane in self._switch.current.targets:
            lane.wake()

    def no_ack(self, limit_s: float) -> NotReady:
        """Return the error of a record that was waited for in vain."""
        return NotReady(
            f"no ack of a record to {self.topic!r} within {limit_s:g} s; it may still arrive."
            " Send it again with the same id, so that consumers can drop the copy."
        )

    def stays_full(self) -> NotReady:
        """Return the error of a record for which the queue had no room."""
        why = self._explain_all() or "the cluster is slow"
        return NotReady(
            f"the queue to {self.topic!r} stays full: {why}. Send more slowly, or wait until the"
            " cluster works."
        )

    def _make_room(self, lane: Lane) -> None:
        """Poll until a tenth of a full queue is free, so that the next senders need not.

        Raises:
            NotReady: when it stays full for as long as a record may wait.
        """
        deadline = time.monotonic() + self._settings.delivery_timeout_s
        enough = len(lane) * 9 // 10
        while len(lane) > enough and lane is self._lane:
            lane.poll(_FULL_POLL_S)
            if time.monotonic() > deadline:
                raise self.stays_full()

    def _send_slowly(self, journey: Journey) -> None:
        while not self.offer(journey):
            for lane in self._switch.current.targets:
                lane.poll(_FULL_POLL_S)
            if time.monotonic() > journey.deadline:
                raise self.stays_full()

    def _offer_all(self, lanes: Lanes, journey: Journey) -> bool:
        fanout = Fanout(
            journey.record.id,
            copies=len(lanes.targets),
            on_joined=partial(self._recovery.joined, journey),
            missing=tuple(lane.cluster for lane in self._switch.lanes if lane not in lanes.targets),
        )
        for index, lane in enumerate(lanes.targets):
            settled = partial(fanout.settled, lane.cluster)
            copy = Journey(journey.record, journey.deadline, on_delivery=settled, pinned=True)
            if lane.hand_over(copy):
                continue
            if index == 0:
                return False  # nothing was handed over: the caller waits for room
            settled(
                Delivery(
                    id=journey.record.id, error=NotReady(f"the queue to {lane.cluster!r} is full.")
                )
            )
        return True

    def _open_lane(self, settings: LaneSettings) -> Lane:
        return Lane(
            settings,
            settled=self._recovery.settled,
            on_shift=self._switch.shifted,
            on_turn=self._turned,
        )

    def _take_lanes(self, lanes: Lanes) -> None:
        self._lane = lanes.only

    def _turned(self, lane: Lane) -> None:
        self._switch.purge_broken()
        self._recovery.resend_waiting()
        self._metrics.turned(lane.cluster, works=lane.works, totals=lane.ages.totals())

    def _next_lane(self) -> Lane | None:
        targets = self._switch.current.targets
        return targets[0] if targets else None

    def _explain_all(self) -> str:
        lanes = self._switch.lanes
        if any(lane.works for lane in lanes):
            return ""
        return "; ".join(f"{lane.cluster}: {lane.reason}" for lane in lanes)


def unwrap(delivery: Delivery) -> Ack:
    """Return the ack, or raise the error of a delivery."""
    if delivery.ack is not None:
        return delivery.ack
    raise delivery.error or NotReady("the record was not acked. Send it again.")
