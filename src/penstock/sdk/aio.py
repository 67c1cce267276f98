"""The same client for asyncio, over the same core.

    await producer.send ─▶ Producer.offer ─▶ delivery, in a polling thread ─┐
    event loop ◀─ one call_soon_threadsafe for all deliveries of a moment ◀─┘

What may block (connecting, flushing, closing) runs in a thread; nothing blocks the loop. A
cancelled `send` is not waited for any more, but the record may still arrive.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from penstock.sdk import profiles
from penstock.sdk.breaker import BreakerSettings
from penstock.sdk.client import Client, connect
from penstock.sdk.consumer import Consumer, Start
from penstock.sdk.credentials import Credentials
from penstock.sdk.deliveries import Ack, Delivery, OnDelivery, Outgoing, Payload
from penstock.sdk.metadata import Metadata
from penstock.sdk.producer import Producer, unwrap
from penstock.sdk.provenance import Header
from penstock.sdk.records import Batch, Record

__all__ = ["AsyncClient", "AsyncConsumer", "AsyncProducer", "connect_async"]

# How long a sender gives the loop to others while the queue is full.
_FULL_PAUSE_S = 0.005


async def connect_async(
    service: str,
    *,
    control: str | None = None,
    home: Path | str | None = None,
    environment: str | None = None,
    metadata: Metadata | None = None,
    credentials: Credentials | None = None,
) -> AsyncClient:
    """Connect as ``service``; arguments and errors are those of `penstock.connect`."""
    client = await asyncio.to_thread(
        connect,
        service,
        control=control,
        home=home,
        environment=environment,
        metadata=metadata,
        credentials=credentials,
    )
    return AsyncClient(client)


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(self, client: Client) -> None:
        """Use `connect_async` instead."""
        self._client = client

    @property
    def metadata(self) -> Metadata:
        """Return what is known of topics and clusters."""
        return self._client.metadata

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything opened here."""
        await self.close()

    async def producer(
        self,
        topic: str,
        *,
        profile: profiles.Profile | str = profiles.Profile.DURABLE,
        type: str | None = None,  # noqa: A002 - CloudEvents' word
        default_key: Payload = None,
        overrides: Mapping[str, profiles.Value] | None = None,
        breaker: BreakerSettings | None = None,
    ) -> AsyncProducer:
        """Open a producer; arguments and errors are those of `Client.producer`."""
        producer = await asyncio.to_thread(
            self._client.producer,
            topic,
            profile=profile,
            type=type,
            default_key=default_key,
            overrides=overrides,
            breaker=breaker,
        )
        return AsyncProducer(producer)

    async def consumer(
        self,
        topics: str | Sequence[str],
        *,
        group: str,
        from_: Start | str = Start.EARLIEST,
        profile: profiles.Profile | str = profiles.Profile.DURABLE,
        dedupe_window: int = 0,
        max_buffered: int = 1_000,
        overrides: Mapping[str, profiles.Value] | None = None,
    ) -> AsyncConsumer:
        """Open a consumer; arguments and errors are those of `Client.consumer`."""
        consumer = await asyncio.to_thread(
            self._client.consumer,
            topics,
            group=group,
            from_=from_,
            profile=profile,
            dedupe_window=dedupe_window,
            max_buffered=max_buffered,
            overrides=overrides,
        )
        return AsyncConsumer(consumer)

    async def close(self) -> None:
        """Close every producer and consumer; errors are those of `Client.close`."""
        await asyncio.to_thread(self._client.close)


class AsyncProducer:
    """`Producer` for asyncio; use it from the loop it was made in."""

    def __init__(self, producer: Producer) -> None:
        """Use `AsyncClient.producer` instead."""
        self._producer = producer
        self._deliveries = _Deliveries(asyncio.get_running_loop())

    @property
    def clusters(self) -> tuple[str, ...]:
        """Return the clusters new records go to."""
        return self._producer.clusters

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Flush and close."""
        await self.close()

    async def send(
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
        """Send a record and return when it is acked; as `Producer.send`."""
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        await self.send_nowait(
            value,
            key,
            type=type,
            headers=headers,
            id=id,
            timestamp_ms=timestamp_ms,
            on_delivery=partial(_settle, future),
        )
        self._producer.wake()
        limit_s = self._producer.longest_wait_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return unwrap(await future)
        except TimeoutError as error:
            raise self._producer.no_ack(limit_s) from error

    async def send_nowait(
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
        """Hand a record over, waiting only while the queue is full; as `Producer.send_nowait`.

        ``on_delivery`` is called in the event loop.
        """
        producer = self._producer
        record = Outgoing(
            value,
            producer.default_key if key is None else key,
            producer.stamp.special(id, type, headers),
            timestamp_ms,
        )
        told = None if on_delivery is None else partial(self._deliveries.add, on_delivery)
        journey = producer.begin(record, told)
        while not producer.offer(journey):
            if time.monotonic() > journey.deadline:
                raise producer.stays_full()
            await asyncio.sleep(_FULL_PAUSE_S)

    async def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until every record is settled; as `Producer.flush`."""
        await asyncio.to_thread(self._producer.flush, timeout_s)

    async def close(self, timeout_s: float = 30.0) -> None:
        """Flush, then close; as `Producer.close`."""
        await asyncio.to_thread(self._producer.close, timeout_s)


class AsyncConsumer:
    """`Consumer` for asyncio; use it from the loop it was made in."""

    def __init__(self, consumer: Consumer) -> None:
        """Use `AsyncClient.consumer` instead."""
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        consumer.inbox.notify(self._notify)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Return the clusters that are read."""
        return self._consumer.clusters

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit what is acked and close."""
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Record]:
        """Return records as they come; as `Consumer`."""
        while (batch := await self._take(max_records=100, timeout_s=None)) is not None:
            for record in batch:
                yield record

    async def batches(
        self, max_records: int = 1_000, timeout_s: float = 1.0
    ) -> AsyncIterator[Batch]:
        """Return records in batches of one cluster each; as `Consumer.batches`."""
        while not self._consumer.inbox.closed:
            batch = await self._take(max_records=max_records, timeout_s=timeout_s)
            if batch is not None or not self._consumer.inbox.closed:
                yield batch if batch is not None else Batch.nothing()

    def ack(self, done: Record | Batch) -> None:
        """Say that the record, and all before it in its partition, are dealt with."""
        self._consumer.ack(done)

    async def close(self) -> None:
        """Commit what is acked, leave the groups."""
        await asyncio.to_thread(self._consumer.close)

    async def _take(self, *, max_records: int, timeout_s: float | None) -> Batch | None:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._arrived.clear()
                    batch = self._consumer.take(max_records=max_records, timeout_s=0)
                    if batch is not None or self._consumer.inbox.closed:
                        return batch
                    await self._arrived.wait()
        except TimeoutError:
            return None

    def _notify(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return


class _Deliveries:
    """Carries deliveries from polling threads into the loop, all of a moment at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: deque[tuple[OnDelivery, Delivery]] = deque()
        self._scheduled = False

    def add(self, on_delivery: OnDelivery, delivery: Delivery) -> None:
        with self._lock:
            self._waiting.append((on_delivery, delivery))
            if self._scheduled:
                return
            self._scheduled = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _drain(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            self._scheduled = False
        for on_delivery, delivery in waiting:
            try:
                on_delivery(delivery)
            except Exception as error:  # noqa: BLE001 - one callback must not keep the others out
                self._loop.call_exception_handler(
                    {"message": "on_delivery failed", "exception": error}
                )


def _settle(future: asyncio.Future[Delivery], delivery: Delivery) -> None:
    if not future.done():  # a cancelled send is not told
        future.set_result(delivery)
