"""What was read and not yet taken: a bounded buffer between readers and the consumer.

    readers (a thread a cluster) ─put─▶ Inbox ─take─▶ the service

Bounded by records: `wait_for_room` holds a reader back. A failure that no retry mends reaches
whoever takes, after the records before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection

from penstock.errors import PenstockError
from penstock.sdk.records import Batch, Source

__all__ = ["Inbox"]


class Inbox:
    """Batches in the order they were read."""

    def __init__(self, max_records: int) -> None:
        """Hold about ``max_records``: the batch that crosses the line is still taken in."""
        self._max_records = max_records
        self._changed = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._size = 0
        self._failure: PenstockError | None = None
        self._closed = False
        self._notify: Callable[[], None] | None = None

    def __len__(self) -> int:
        """Return how many records are held."""
        return self._size

    @property
    def closed(self) -> bool:
        """Tell whether it was closed."""
        return self._closed

    def notify(self, call: Callable[[], None] | None) -> None:
        """Call ``call`` from the reader's thread when something may be taken; for event loops."""
        with self._changed:
            self._notify = call

    def put(self, batch: Batch) -> None:
        """Add a batch."""
        with self._changed:
            self._batches.append(batch)
            self._size += len(batch)
            self._tell()

    def fail(self, failure: PenstockError) -> None:
        """Hand a failure to whoever takes next."""
        with self._changed:
            self._failure = failure
            self._tell()

    def close(self) -> None:
        """Wake everybody; nothing more is taken."""
        with self._changed:
            self._closed = True
            self._batches.clear()
            self._size = 0
            self._tell()

    def take(self, max_records: int, *, timeout_s: float | None) -> Batch | None:
        """Return up to ``max_records`` of one cluster, or None after the timeout or when closed.

        Raises:
            PenstockError: the failure of a reader, once all records before it are taken.
        """
        with self._changed:
            self._changed.wait_for(self._ready, timeout_s)
            if self._batches:
                return self._pop(max_records)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return None

    def wait_for_room(self, timeout_s: float) -> bool:
        """Tell whether there is room, waiting for it up to ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout_s)

    def drop(self, source: Source, partitions: Collection[tuple[str, int]]) -> None:
        """Forget records of partitions that are not ours any more: their new owner reads them."""
        with self._changed:
            kept = [
                batch
                if batch.source_of is not source
                else Batch(
                    [m for m in batch.messages if (m.topic(), m.partition()) not in partitions],
                    source,
                )
                for batch in self._batches
            ]
            self._batches = deque(batch for batch in kept if len(batch))
            self._size = sum(map(len, self._batches))
            self._changed.notify_all()

    def _pop(self, max_records: int) -> Batch:
        batch = self._batches.popleft()
        if len(batch) > max_records:
            self._batches.appendleft(batch[max_records:])
            batch = batch[:max_records]
        self._size -= len(batch)
        self._changed.notify_all()
        return batch

    def _ready(self) -> bool:
        return bool(self._batches) or self._failure is not None or self._closed

    def _has_room(self) -> bool:
        return self._size < self._max_records or self._closed

    def _tell(self) -> None:
        self._changed.notify_all()
        if self._notify is not None:
            self._notify()
