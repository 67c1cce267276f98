"""How old the oldest unacked record of a lane is, for nanoseconds a record.

    send ─▶ bucket of the moment: sent + 1      ack ─▶ the same bucket: done + 1
    oldest bucket with sent != done ─▶ age, exact to one bucket's span

The delivery callback *is* a method of the bucket the record was counted in, with the record's id
bound to it: librdkafka gives back all of a failed message but its headers, and the id makes them
anew (`Stamp.again`). More must not be bound: whatever Python keeps for each record on the way, its
garbage collector walks through. The counters are `itertools.count`: one C call, atomic under the GIL, so neither the
senders nor the acks need a lock. Reading such a counter moves it by one, which `_read` takes back.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from penstock.kafka.clients import KafkaError, Message
from penstock.sdk.deliveries import Journey

__all__ = ["Ages", "Bucket", "Settled"]

Settled = Callable[[KafkaError | None, Message, "Bucket", Journey | str], None]

# One ack of this many is looked at for its latency and size.
SAMPLE_EVERY = 64


class _Counter:
    """Counts calls of `tick` without a lock; one thread only may read."""

    __slots__ = ("_count", "_reads", "tick")

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._reads = 0
        self.tick: Callable[[], int] = self._count.__next__

    def read(self) -> int:
        """Return how often `tick` was called."""
        value = next(self._count) - 1 - self._reads
        self._reads += 1
        return value


class Bucket:
    """The records handed to librdkafka within one span of time.

    Attributes:
        opened_at: monotonic seconds.
        count_sent: call it before a record is handed over; returns about how many there were.
    """

    __slots__ = ("_count_done", "_done", "_sent", "_settled", "count_sent", "opened_at")

    def __init__(self, opened_at: float, settled: Settled) -> None:
        """Open at ``opened_at``; ``settled`` is called for failures and for sampled acks."""
        self.opened_at = opened_at
        self._sent = _Counter()
        self._done = _Counter()
        self._settled = settled
        self.count_sent = self._sent.tick
        self._count_done = self._done.tick

    def delivered(self, id_: str, error: KafkaError | None, message: Message) -> None:
        """Be, with its id bound, the delivery callback of a record nobody waits for."""
        sample = self._count_done() % SAMPLE_EVERY == 1
        if sample or error is not None:
            self._settled(error, message, self, id_)

    def settle(self, journey: Journey, error: KafkaError | None, message: Message) -> None:
        """Be, with its journey bound, the delivery callback of any other record."""
        self._count_done()
        self._settled(error, message, self, journey)

    def uncount(self) -> None:
        """Take back a `count_sent` whose record was not handed over."""
        self._count_done()

    def read(self) -> tuple[int, int]:
        """Return sent and done. Done is read first, so a full bucket is never taken for empty."""
        done = self._done.read()
        return self._sent.read(), done


Delivered = Callable[[str, KafkaError | None, Message], None]
Current = tuple[Callable[[], int], Delivered, Bucket]


class Ages:
    """The buckets of one lane; one thread turns and reads them, any thread counts in `current`.

    Attributes:
        current: `count_sent`, `delivered` and the bucket new records count in; one tuple, so that
            a sender gets all three of the same bucket.
    """

    __slots__ = ("_buckets", "_clock", "_settled", "_settled_sent", "current")

    current: Current

    def __init__(self, *, clock: Callable[[], float], settled: Settled) -> None:
        """Begin with one empty bucket."""
        self._clock = clock
        self._settled = settled
        self._settled_sent = 0
        self._buckets: deque[Bucket] = deque()
        self._open()

    def turn(self) -> int:
        """Close the current bucket, forget settled ones; return how many records it held.

        The youngest closed bucket is kept for one turn more: a sender may have looked it up and
        not yet counted in it.
        """
        bucket = self.current[2]
        sent, _ = bucket.read()
        if sent:
            self._open()
        else:
            bucket.opened_at = self._clock()
        while len(self._buckets) > 2:  # noqa: PLR2004 - the current one and the one before
            oldest_sent, oldest_done = self._buckets[0].read()
            if oldest_sent != oldest_done:
                break
            self._settled_sent += oldest_sent
            self._buckets.popleft()
        return sent

    def oldest_s(self) -> float:
        """Return the age of the oldest unacked record in seconds, 0 when all are acked."""
        for bucket in self._buckets:
            sent, done = bucket.read()
            if sent != done:
                return self._clock() - bucket.opened_at
        return 0.0

    def totals(self) -> tuple[int, int]:
        """Return how many records were handed over and how many are settled, ever."""
        counts = [bucket.read() for bucket in self._buckets]
        sent = self._settled_sent + sum(s for s, _ in counts)
        return sent, self._settled_sent + sum(d for _, d in counts)

    def _open(self) -> None:
        bucket = Bucket(self._clock(), self._settled)
        self._buckets.append(bucket)
        self.current = (bucket.count_sent, bucket.delivered, bucket)
