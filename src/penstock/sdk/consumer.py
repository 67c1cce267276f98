"""Read logical topics, wherever they live: every cluster at once.

    metadata ─▶ a Reader a cluster ─▶ Inbox ─▶ for record in consumer ─▶ ack(record)

Guarantee: at least once. A position is committed only after `ack`, which is cumulative: it covers
every earlier record of the same partition. Records of several clusters come in no order between
them. With a dedupe window, a record whose id was seen within the window is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from penstock.errors import ConfigError, NotReady
from penstock.model.metadata import Snapshot
from penstock.sdk.dedupe import Window
from penstock.sdk.inbox import Inbox
from penstock.sdk.readers import Reader, ReaderSettings
from penstock.sdk.records import Batch, Record

__all__ = ["Consumer", "ConsumerSettings", "Start", "parse_start"]


class Start(StrEnum):
    """Where a group begins that has committed nothing yet."""

    EARLIEST = "earliest"
    LATEST = "latest"


def parse_start(start: Start | str) -> Start:
    """Return where to start.

    Raises:
        ConfigError: for another word than ``earliest`` and ``latest``.
    """
    try:
        return Start(start)
    except ValueError as error:
        known = " or ".join(Start)
        raise ConfigError(f"a group begins at {known}, not {start!r}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """What a consumer is made of.

    Attributes:
        describe: the readers a snapshot asks for, by cluster.
        dedupe_window: record ids remembered; 0 for none.
        max_buffered: records held between the readers and the service.
    """

    describe: Callable[[Snapshot], Mapping[str, ReaderSettings]]
    dedupe_window: int
    max_buffered: int


class Consumer:
    """Reads topics as a member of a group; one thread takes from it. Make one and keep it."""

    def __init__(self, settings: ConsumerSettings, *, snapshot: Snapshot) -> None:
        """Start reading the clusters the snapshot names; `refresh` follows later ones."""
        self._settings = settings
        self._lock = threading.Lock()
        self._readers: dict[str, tuple[ReaderSettings, Reader]] = {}
        self._leaving: list[Reader] = []
        self._window = Window(settings.dedupe_window) if settings.dedupe_window else None
        self._closed = False
        self._on_close: list[Callable[[], object]] = []
        self.inbox = Inbox(settings.max_buffered)
        self.refresh(snapshot)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Return the clusters that are read."""
        return tuple(self._readers)

    @property
    def assigned(self) -> bool:
        """Tell whether every cluster's group has given this consumer partitions."""
        readers = [reader for _, reader in self._readers.values()]
        return bool(readers) and all(reader.assigned() for reader in readers)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Commit what is acked and close."""
        self.close()

    def __iter__(self) -> Iterator[Record]:
        """Return records as they come, without end; ends when the consumer is closed.

        Raises:
            Refused: when the service may not read a topic or join the group.
        """
        while not self._closed:
            batch = self.take(max_records=100, timeout_s=None)
            if batch is not None:
                yield from batch

    def batches(self, max_records: int = 1_000, timeout_s: float = 1.0) -> Iterator[Batch]:
        """Return records in batches of one cluster each: the way to high throughput.

        Args:
            max_records: at most as many in one batch.
            timeout_s: an empty batch is returned when nothing came for so long, so that a caller
                can look at the clock.

        Raises:
            Refused: when the service may not read a topic or join the group.
        """
        while not self._closed:
            batch = self.take(max_records=max_records, timeout_s=timeout_s)
            if batch is not None or not self._closed:
                yield batch if batch is not None else Batch.nothing()

    def take(self, *, max_records: int, timeout_s: float | None) -> Batch | None:
        """Return the next records of one cluster, or None when nothing came in time.

        Raises:
            Refused: when the service may not read a topic or join the group.
        """
        batch = self.inbox.take(max_records, timeout_s=timeout_s)
        return batch if batch is None or self._window is None else self._deduped(batch)

    def ack(self, done: Record | Batch) -> None:
        """Say that the record, and all before it in its partition, are dealt with.

        The position is committed within a second, when the partition is given away, and on close.

        Args:
            done: the last record dealt with, or a whole batch.
        """
        batch = Batch([done.message], done.source_of) if isinstance(done, Record) else done
        found = self._readers.get(done.source_of.cluster)
        if found is not None and found[1].source is done.source_of:
            found[1].ack(batch.ends())

    def refresh(self, snapshot: Snapshot) -> None:
        """Follow new metadata: read clusters that were added, leave those that are gone."""
        with self._lock:
            if self._closed:
                return
            wanted = self._settings.describe(snapshot)
            for cluster, (settings, reader) in list(self._readers.items()):
                if wanted.get(cluster) != settings:
                    del self._readers[cluster]
                    reader.stop()
                    self._leaving = [*self._leaving, reader]
            for cluster, settings in wanted.items():
                if cluster not in self._readers:
                    self._readers[cluster] = (settings, Reader(settings, self.inbox))

    def close(self) -> None:
        """Commit what is acked, leave the groups; closing twice is closing once."""
        with self._lock:
            self._closed = True
            readers = [*self._leaving, *(reader for _, reader in self._readers.values())]
            self._readers = {}
            self._leaving = []
        for reader in readers:
            reader.stop()
        self.inbox.close()
        for reader in readers:
            reader.join()
        for call in self._on_close:
            call()
        self._on_close.clear()

    def on_close(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the consumer is closed."""
        self._on_close.append(call)

    def abandon(self, reason: str) -> None:
        """Be unusable: this is a forked child, and the readers' threads are the parent's."""
        self.inbox = Inbox(1)
        self.inbox.fail(NotReady(f"{reason}."))
        self._readers = {}

    def _deduped(self, batch: Batch) -> Batch:
        window = self._window
        if window is None:
            return batch
        fresh = [r.message for r in batch if not (r.id and window.seen(r.id))]
        return Batch(fresh, batch.source_of)
