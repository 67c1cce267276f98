"""Hold a topic's lanes, and switch between them when metadata or breakers change.

    metadata changed ─┐                       ┌─▶ open lanes the epoch names (warm standby)
                      ├─▶ routing.decide ─────┼─▶ switch: new records take the new lanes at once
    breaker shifted ──┘                       ├─▶ purge broken lanes while another one works
                                              └─▶ flush and close lanes the epoch names no more

A cordoned or deposed lane is not purged: what it holds is flushed where it was going. Never
touches a record itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from penstock.model.metadata import Snapshot
from penstock.model.topics import Placement, Routing, Topic
from penstock.sdk import routing
from penstock.sdk.lanes import Lane, LaneSettings

__all__ = ["Lanes", "Switch"]

log = logging.getLogger("penstock.sdk.producer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """The lanes new records take; empty with a reason why."""

    routing: Routing
    targets: tuple[Lane, ...]
    reason: str = ""

    @property
    def only(self) -> Lane | None:
        """Return the one lane all records take, or None when a record must choose."""
        single = len(self.targets) == 1 and self.routing is not Routing.REPLICATE
        return self.targets[0] if single else None


class Switch:
    """The lanes of one producer.

    Attributes:
        current: what new records take.
    """

    def __init__(
        self,
        topic_ident: str,
        *,
        describe: Callable[[Placement, Snapshot], LaneSettings],
        open_lane: Callable[[LaneSettings], Lane],
        on_switch: Callable[[Lanes], None],
        close_timeout_s: float,
    ) -> None:
        """Begin without lanes; the first `refresh` opens them.

        Args:
            topic_ident: ``environment/name`` of the logical topic.
            describe: makes a placement's lane settings.
            open_lane: opens a lane; it must report its shifts to `shifted`.
            on_switch: called with the new lanes, under the switch's lock.
            close_timeout_s: how long a lane that is no longer named may flush.
        """
        self._ident = topic_ident
        self._describe = describe
        self._open_lane = open_lane
        self._on_switch = on_switch
        self._close_timeout_s = close_timeout_s
        self._lock = threading.RLock()
        self._snapshot = Snapshot()
        self._lanes: dict[str, tuple[LaneSettings, Lane]] = {}
        self._retiring: list[tuple[Lane, threading.Thread]] = []
        self._closed = False
        self.current = Lanes(routing=Routing.NA, targets=(), reason="the producer is starting")

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Return every open lane, also the standing-by ones."""
        with self._lock:
            return tuple(lane for _, lane in self._lanes.values())

    @property
    def all_lanes(self) -> tuple[Lane, ...]:
        """Return every lane that may hold records, also those that are being closed."""
        with self._lock:
            return (*self.lanes, *(lane for lane, thread in self._retiring if thread.is_alive()))

    def refresh(self, snapshot: Snapshot) -> None:
        """Follow new metadata."""
        with self._lock:
            topic = snapshot.topics.get(self._ident)
            if self._closed:
                return
            if topic is None:
                # The control plane may have been restored from an older state: keep sending.
                log.warning("topic %s is gone from the metadata; going on as before", self._ident)
                return
            self._snapshot = snapshot
            self._open_named(topic)
            self._decide(topic)

    def shifted(self, lane: Lane) -> None:
        """Follow a breaker that opened or closed."""
        with self._lock:
            topic = self._snapshot.topics.get(self._ident)
            if self._closed or topic is None or all(lane is not other for other in self.lanes):
                return
            state = "works again" if lane.works else f"does not work ({lane.reason})"
            log.warning("topic %s: cluster %s %s", self._ident, lane.cluster, state)
            self._decide(topic)

    def purge_broken(self) -> None:
        """Take records back from lanes that do not work, while another one does."""
        if not any(lane.works for lane in self.current.targets):
            return
        for lane in self.lanes:
            if not lane.works and len(lane):
                lane.purge()

    def abandon(self, reason: str) -> None:
        """Let go of every lane without touching it; ``reason`` says why there is none."""
        self._lock = threading.RLock()  # the old one may be held by a thread that is not here
        self._closed = True
        self._lanes = {}
        self._switch(Lanes(routing=Routing.NA, targets=(), reason=reason))

    def close(self, timeout_s: float) -> int:
        """Close every lane; return how many records were given up."""
        with self._lock:
            self._closed = True
            lanes, self._lanes = self.lanes, {}
            self._switch(Lanes(routing=Routing.NA, targets=(), reason="the producer is closed"))
        left = sum(lane.close(timeout_s) for lane in lanes)
        for _, thread in self._retiring:
            thread.join()
        return left

    def _open_named(self, topic: Topic) -> None:
        epoch = topic.current
        named = epoch.placements[:1] if epoch.routing is Routing.NA else epoch.placements
        wanted = {
            p.cluster: self._describe(p, self._snapshot)
            for p in named
            if p.cluster in self._snapshot.clusters
        }
        for cluster, (settings, lane) in list(self._lanes.items()):
            if wanted.get(cluster) != settings:
                del self._lanes[cluster]
                self._retire(lane)
        for cluster, settings in wanted.items():
            if cluster not in self._lanes:
                self._lanes[cluster] = (settings, self._open_lane(settings))

    def _decide(self, topic: Topic) -> None:
        route = routing.decide(
            topic,
            self._snapshot.clusters,
            works=lambda cluster: cluster in self._lanes and self._lanes[cluster][1].works,
        )
        targets = tuple(self._lanes[p.cluster][1] for p in route.targets)
        lanes = Lanes(routing=route.routing, targets=targets, reason=route.reason)
        if lanes != self.current:
            self._switch(lanes)
        self.purge_broken()

    def _switch(self, lanes: Lanes) -> None:
        self.current = lanes
        self._on_switch(lanes)
        names = ", ".join(lane.cluster for lane in lanes.targets) or lanes.reason
        log.info("topic %s: records go to %s", self._ident, names)

    def _retire(self, lane: Lane) -> None:
        thread = threading.Thread(
            target=lane.close, args=(self._close_timeout_s,), name="penstock-retire", daemon=True
        )
        thread.start()
        alive = [(old, closing) for old, closing in self._retiring if closing.is_alive()]
        self._retiring = [*alive, (lane, thread)]
