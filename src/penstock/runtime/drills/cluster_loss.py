"""The drill: lose a cluster under load, watch the traffic move, bring it back, count every record.

    steady ─strike─▶ elsewhere ─restore─▶ failed back ─▶ stop, flush ─▶ read back ─▶ Report

Always restores, also when it fails or is interrupted. Writes only to the drill's topic.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from penstock.errors import NotReady, Refused
from penstock.model.metadata import Snapshot
from penstock.model.topics import Placement
from penstock.runtime.drills import accounts, readback
from penstock.runtime.drills.load import Load
from penstock.runtime.drills.victims import Victim
from penstock.sdk.client import Client
from penstock.sdk.metadata import find_topic

__all__ = ["GOAL_AVAILABILITY", "Drill", "Moment", "Phase", "Report", "run"]

GOAL_AVAILABILITY = 0.99999

_LOOK_EVERY_S = 0.1
_WITHIN_S = 60.0
_FAIL_BACK_WITHIN_S = 180.0
_FLUSH_S = 120.0


class Phase(StrEnum):
    """Where a drill is."""

    STEADY = "steady"
    LOST = "lost"
    COMING_BACK = "coming back"
    COUNTING = "counting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What to do.

    Attributes:
        topic: logical topic that takes the load; on at least two clusters.
        rate: records a second.
        steady_s: how long the load runs before the loss, and after the return.
        lost_s: how long the cluster stays lost.
    """

    topic: str
    rate: int = 2_000
    steady_s: float = 3.0
    lost_s: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The drill at a moment, for a live view."""

    phase: Phase
    attempted: int
    acked: int
    by_cluster: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it.

    Attributes:
        cluster: the one that was lost.
        first_ack_elsewhere_ms: from the loss to the first ack of another cluster.
        fail_back_ms: from the moment the cluster was let back to its first ack; its start is in it.
        failures: reasons of records that were not acked, with how often.
    """

    cluster: str
    account: accounts.Account
    by_cluster: Mapping[str, int]
    first_ack_elsewhere_ms: float
    fail_back_ms: float
    failures: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """Tell whether the platform kept its promise."""
        return (
            self.account.lost == 0
            and self.account.duplicates_unexpected == 0
            and self.account.availability >= GOAL_AVAILABILITY
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as one flat object."""
        return {
            "cluster": self.cluster,
            **asdict(self.account),
            "availability": self.account.availability,
            "first_ack_elsewhere_ms": round(self.first_ack_elsewhere_ms, 1),
            "fail_back_ms": round(self.fail_back_ms, 1),
            "by_cluster": dict(self.by_cluster),
            "failures": dict(self.failures),
            "passed": self.passed,
        }


def run(
    client: Client,
    drill: Drill,
    victim: Victim,
    *,
    on_moment: Callable[[Moment], None] = lambda _: None,
) -> Report:
    """Run the drill; the victim is restored when this returns or raises.

    Raises:
        Refused: when the topic has no other cluster to go to, or does not prefer the victim.
        NotReady: when a step does not come about in time.
    """
    client.metadata.need([drill.topic])
    snapshot = client.metadata.snapshot()
    placements = _placements(snapshot, drill.topic, victim.cluster)
    first = readback.ends(snapshot.clusters, placements)
    with client.producer(drill.topic) as producer:
        load = Load(producer, name=f"drill-{secrets.token_hex(4)}", rate=drill.rate)
        with _running(load, victim):
            elsewhere_s, back_s = _lose_and_return(load, drill, victim, on_moment)
        on_moment(_moment(load, Phase.COUNTING))
        producer.flush(_FLUSH_S)
    end = readback.ends(snapshot.clusters, placements)
    found = readback.read_between(snapshot.clusters, first=first, end=end, prefix=load.name)
    return Report(
        cluster=victim.cluster,
        account=accounts.settle(
            attempted=load.attempted,
            acked=load.acked,
            possibly_doubled=load.possibly_doubled,
            found=found,
        ),
        by_cluster=load.by_cluster,
        first_ack_elsewhere_ms=elsewhere_s * 1000,
        fail_back_ms=back_s * 1000,
        failures=load.failures,
    )


@contextmanager
def _running(load: Load, victim: Victim) -> Iterator[None]:
    load.start()
    try:
        yield
    finally:
        load.stop()
        victim.restore()


def _lose_and_return(
    load: Load, drill: Drill, victim: Victim, on_moment: Callable[[Moment], None]
) -> tuple[float, float]:
    """Return the seconds to the first ack elsewhere, and those to the first after the return."""

    def is_victim(cluster: str) -> bool:
        return cluster == victim.cluster

    def look(phase: Phase, *, until: Callable[[], bool], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not until():
            on_moment(_moment(load, phase))
            if time.monotonic() > deadline:
                raise NotReady(f"{what} within {within_s:.0f} s. See: penstock status.")
            time.sleep(_LOOK_EVERY_S)

    def linger(phase: Phase, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        look(phase, until=lambda: time.monotonic() >= ends_at, within_s=seconds + 1, what="")

    arrived = load.first_ack(is_victim)
    what = f"no record was acked by {victim.cluster!r}"
    look(Phase.STEADY, until=arrived.seen.is_set, within_s=_WITHIN_S, what=what)
    linger(Phase.STEADY, drill.steady_s)

    elsewhere = load.first_ack(lambda cluster: not is_victim(cluster))
    victim.strike()
    what = "no record was acked by another cluster"
    look(Phase.LOST, until=elsewhere.seen.is_set, within_s=_WITHIN_S, what=what)
    linger(Phase.LOST, drill.lost_s)

    back = load.first_ack(is_victim)
    victim.restore()
    what = f"the traffic did not go back to {victim.cluster!r}"
    look(Phase.COMING_BACK, until=back.seen.is_set, within_s=_FAIL_BACK_WITHIN_S, what=what)
    linger(Phase.STEADY, drill.steady_s)
    return elsewhere.after_s, back.after_s


def _moment(load: Load, phase: Phase) -> Moment:
    return Moment(
        phase=phase,
        attempted=load.attempted,
        acked=len(load.acked),
        by_cluster=load.by_cluster,
    )


def _placements(snapshot: Snapshot, topic: str, cluster: str) -> tuple[Placement, ...]:
    placements = find_topic(snapshot, topic, environment=None).current.placements
    names = [placement.cluster for placement in placements]
    if len(names) < 2 or cluster not in names:  # noqa: PLR2004 - one to lose and one to go to
        raise Refused(
            f"topic {topic!r} is on {', '.join(names)}: a drill that loses {cluster!r} needs it "
            "and another one there. Name another --topic or --cluster."
        )
    return placements
