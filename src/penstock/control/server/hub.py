"""The watches: one snapshot in memory, one difference a change, one encoding a distinct filter.

    store ─version moved (polled, or told)─▶ snapshot ─▶ difference by filter ─▶ bytes
                                                            └─▶ every watcher's bounded queue

Guarantees: a watcher sees versions grow, and after every version it was told holds what a fresh
snapshot would. A watcher that does not keep up loses its queue and gets a fresh snapshot instead;
nobody waits for it. All of it runs in the event loop; only the store is read in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import ConfigError, NotReady, PenstockError
from penstock.model import metadata

__all__ = ["Filter", "Hub", "select"]

_log = logging.getLogger(__name__)

_QUEUE_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a watcher asked for.

    Attributes:
        environment: may be empty while there is only one.
        topics: logical names; none means all.
    """

    environment: str = ""
    topics: frozenset[str] = frozenset()


def select(snapshot: metadata.Snapshot, wanted: Filter) -> metadata.Snapshot:
    """Return the part of the snapshot that was asked for.

    Raises:
        ConfigError: when no environment is named and there are several.
    """
    environments = {cluster.environment for cluster in snapshot.clusters.values()}
    if not wanted.environment and len(environments) > 1:
        raise ConfigError(
            f"the estate has the environments {', '.join(sorted(environments))}; say which one "
            "is meant"
        )
    topics = {
        ident: topic
        for ident, topic in snapshot.topics.items()
        if wanted.environment in {"", topic.environment}
        and (not wanted.topics or topic.name in wanted.topics)
    }
    homes = {p.cluster for t in topics.values() for epoch in t.epochs for p in epoch.placements}
    clusters = {
        name: cluster
        for name, cluster in snapshot.clusters.items()
        if wanted.environment in {"", cluster.environment} and (not wanted.topics or name in homes)
    }
    return replace(snapshot, clusters=clusters, topics=topics)


class _Watcher:
    """One stream: what is still to be sent, and whether it fell behind."""

    __slots__ = ("_ready", "behind", "events", "failure", "wanted")

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.events: deque[bytes] = deque()
        self.behind = False
        self.failure: PenstockError | None = None
        self._ready = asyncio.Event()

    def offer(self, event: bytes) -> None:
        if len(self.events) >= _QUEUE_LENGTH:
            self.events.clear()
            self.behind = True
        if not self.behind:
            self.events.append(event)
        self._ready.set()

    def fail(self, error: PenstockError) -> None:
        self.failure = error
        self._ready.set()

    async def wait(self, timeout_s: float) -> bool:
        """Tell whether there is something to send before the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            return False
        self._ready.clear()
        return True


class Hub:
    """Feeds every watcher of this process; used from one event loop.

    Attributes:
        snapshot: as of the last look at the store.
    """

    def __init__(
        self,
        *,
        read_version: Callable[[], int],
        read_snapshot: Callable[[], metadata.Snapshot],
        poll_s: float,
        heartbeat_s: float,
    ) -> None:
        """Read nothing yet; both readers block, and are called in threads."""
        self.snapshot = metadata.Snapshot()
        self._read_version = read_version
        self._read_snapshot = read_snapshot
        self._poll_s = poll_s
        self._heartbeat_s = heartbeat_s
        self._watchers: set[_Watcher] = set()
        self._refreshing = asyncio.Lock()
        self._closed = False

    @property
    def watchers(self) -> int:
        """Return how many watches are open."""
        return len(self._watchers)

    async def run(self) -> None:
        """Look at the store until cancelled; a look that fails is tried again."""
        healthy = True
        while True:
            try:
                await self.refresh()
                healthy = True
            except PenstockError as error:
                if healthy:
                    _log.warning("watchers hear of no change for now: %s", error.message)
                healthy = False
            await asyncio.sleep(self._poll_s)

    async def refresh(self) -> None:
        """Read the store where its version has moved, and tell every watcher.

        Raises:
            NotReady: when the store does not answer.
        """
        async with self._refreshing:
            if await asyncio.to_thread(self._read_version) == self.snapshot.version:
                return
            old, self.snapshot = self.snapshot, await asyncio.to_thread(self._read_snapshot)
            self._tell(old)

    def close(self) -> None:
        """End every watch: clients go elsewhere, or come again."""
        self._closed = True
        for watcher in self._watchers:
            watcher.fail(NotReady("this control plane is stopping; connect again in a moment"))

    async def watch(self, wanted: Filter, *, known_version: int) -> AsyncIterator[bytes]:
        """Yield encoded `WatchEvent`s: a snapshot unless it is known, then what changes.

        Raises:
            ConfigError: when no environment is named and there are several.
            NotReady: when the server stops.
        """
        watcher = _Watcher(wanted)
        first = select(self.snapshot, wanted)
        self._watchers.add(watcher)
        if self._closed:
            self.close()
        try:
            if known_version == first.version:
                yield _heartbeat(first.version)
            else:
                yield _whole(first)
            while True:
                async for event in self._next(watcher):
                    yield event
        finally:
            self._watchers.discard(watcher)

    async def _next(self, watcher: _Watcher) -> AsyncIterator[bytes]:
        if not await watcher.wait(self._heartbeat_s):
            yield _heartbeat(self.snapshot.version)
            return
        if watcher.failure is not None:
            raise watcher.failure
        if watcher.behind:
            watcher.behind = False
            yield _whole(select(self.snapshot, watcher.wanted))
            return
        while watcher.events and not watcher.behind:
            yield watcher.events.popleft()

    def _tell(self, old: metadata.Snapshot) -> None:
        same_wish: dict[Filter, list[_Watcher]] = defaultdict(list)
        for watcher in self._watchers:
            same_wish[watcher.wanted].append(watcher)
        for wanted, watchers in same_wish.items():
            self._tell_alike(old, wanted, watchers)

    def _tell_alike(
        self, old: metadata.Snapshot, wanted: Filter, watchers: Iterable[_Watcher]
    ) -> None:
        try:
            now = select(self.snapshot, wanted)
        except ConfigError as error:
            for watcher in watchers:
                watcher.fail(error)
            return
        before = metadata.Snapshot()
        with contextlib.suppress(ConfigError):  # several environments until now: they start anew
            before = select(old, wanted)
        delta = metadata.difference(before, now)
        event = pb.WatchEvent(delta=wire.encode_delta(delta)).SerializeToString()
        for watcher in watchers:
            watcher.offer(event)


def _whole(snapshot: metadata.Snapshot) -> bytes:
    return pb.WatchEvent(snapshot=wire.encode_snapshot(snapshot)).SerializeToString()


def _heartbeat(version: int) -> bytes:
    return pb.WatchEvent(heartbeat=pb.Heartbeat(version=version)).SerializeToString()
