"""(c) Fail-over: from the loss of a cluster to the first ack of another, and what was lost.

    two clusters ─ load through the SDK ─ SIGKILL | SIGSTOP ─▶ first ack elsewhere, n times
                 └ the peer: two bare producers, the second takes what the first gave up

The peer is what a careful user writes by hand: `on_delivery` with an error sends the record to the
other cluster. librdkafka reports that error only after ``message.timeout.ms``, 300 s by default;
the peer is given 10 s.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.rows import Row
from penstock.kafka import clients
from penstock.kafka.admin import Admin
from penstock.model import clusters, metadata, topics
from penstock.runtime import embedded
from penstock.runtime.drills.cluster_loss import Drill, Report
from penstock.runtime.drills.cluster_loss import run as run_drill
from penstock.runtime.drills.victims import CalledVictim
from penstock.sdk.client import connect
from penstock.sdk.metadata import StaticMetadata

RUNS = 12
KILL_GOAL_MS = 150
HANG_GOAL_MS = 2_000
PEER_TIMEOUT_MS = 10_000
PEER = f"bare confluent-kafka, resend on error, message.timeout.ms={PEER_TIMEOUT_MS}"
TOPIC = "failover"
DRILL = Drill(topic=TOPIC, rate=1_000, steady_s=1.0, lost_s=1.0)


def run() -> list[Row]:
    """Measure both losses, ours and the peer's."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        home = Path(directory)
        federation = {name: embedded.start(home, name) for name in ("primary", "standby")}
        try:
            for name, cluster in federation.items():
                Admin(name, cluster.bootstrap).create_topic(
                    TOPIC, partitions=12, replication=1, config={}
                )
            return [
                *_rows(federation, hang=False, goal_ms=KILL_GOAL_MS),
                *_rows(federation, hang=True, goal_ms=HANG_GOAL_MS),
            ]
        finally:
            for cluster in federation.values():
                cluster.kill()


def _rows(federation: dict[str, embedded.Cluster], *, hang: bool, goal_ms: float) -> list[Row]:
    primary = federation["primary"]
    strike = primary.pause if hang else primary.kill
    restore = primary.resume if hang else primary.start_again
    reports = _drill(federation, CalledVictim(cluster="primary", strike=strike, restore=restore))
    peer_ms = _peer_ms(federation, strike=strike, restore=restore)
    times = sorted(report.first_ack_elsewhere_ms for report in reports)
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
    loss = "SIGSTOP" if hang else "SIGKILL"
    accounts = [report.account for report in reports]
    attempted, lost = sum(a.attempted for a in accounts), sum(a.lost for a in accounts)
    doubled = sum(a.duplicates for a in accounts)
    unexpected = sum(a.duplicates_unexpected for a in accounts)
    limit = f"≤ {goal_ms:,} ms"
    return [
        _row(f"first ack elsewhere after {loss}, p50", p50, goal=limit, met=p50 <= goal_ms)
        | {"peer": peer_ms, "peer_name": PEER, "ratio": p50 / peer_ms, "note": f"n={len(times)}"},
        _row(f"first ack elsewhere after {loss}, p99", p99, goal="", met=None)
        | {"note": f"slowest {times[-1]:,.0f} ms"},
        _row(f"records lost after {loss}", lost, goal="0", met=lost == 0, unit="records")
        | {"note": f"of {attempted:,}; {doubled} doubled, {unexpected} of them unexpectedly"},
    ]


def _row(case: str, ours: float, *, goal: str, met: bool | None, unit: str = "ms") -> Row:
    return {
        "bench": "failover",
        "case": case,
        "ours": ours,
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
        "goal": goal,
        "met": met,
    }


def _drill(federation: dict[str, embedded.Cluster], victim: CalledVictim) -> list[Report]:
    """Lose the victim again and again, each time from a steady stream."""
    reports = []
    for _ in range(RUNS):
        with connect("bench", metadata=StaticMetadata(_snapshot(federation))) as client:
            reports.append(run_drill(client, DRILL, victim))
    return reports


def _peer_ms(
    federation: dict[str, embedded.Cluster],
    *,
    strike: Callable[[], None],
    restore: Callable[[], None],
) -> float:
    """Return how long the hand-written fail-over takes, once."""
    first, second = (
        clients.open_producer(
            {"bootstrap.servers": cluster.bootstrap, "message.timeout.ms": PEER_TIMEOUT_MS},
            failures=clients.Failures(),
        )
        for cluster in federation.values()
    )
    acked_first, acked_second = threading.Event(), threading.Event()

    def on_second(error: clients.KafkaError | None, _: Any) -> None:
        if error is None:
            acked_second.set()

    def on_first(error: clients.KafkaError | None, message: Any) -> None:
        if error is None:
            acked_first.set()
        else:
            second.produce(TOPIC, message.value(), on_delivery=on_second)

    def until(done: threading.Event) -> None:
        deadline = time.monotonic() + 60
        while not done.is_set() and time.monotonic() < deadline:
            first.produce(TOPIC, b"." * 180, on_delivery=on_first)
            first.poll(0.001)
            second.poll(0)

    until(acked_first)
    struck_at = time.monotonic()
    strike()
    try:
        until(acked_second)
        return (time.monotonic() - struck_at) * 1_000
    finally:
        restore()
        first.purge()
        first.flush(10)
        second.flush(10)


def _snapshot(federation: dict[str, embedded.Cluster]) -> metadata.Snapshot:
    placements = tuple(
        topics.Placement(cluster=name, topic=TOPIC, partitions=12) for name in federation
    )
    epoch = topics.Epoch(
        number=1,
        state=topics.EpochState.OPEN,
        routing=topics.Routing.FAILOVER,
        placements=placements,
    )
    topic = topics.Topic(name=TOPIC, environment="bench", owner="bench", epochs=(epoch,))
    return metadata.Snapshot(
        version=1,
        clusters={
            name: clusters.Cluster(
                name=name,
                environment="bench",
                bootstrap={clusters.AuthMode.PLAINTEXT: cluster.bootstrap},
            )
            for name, cluster in federation.items()
        },
        topics={topic.ident: topic},
    )
