"""Restarts the brokers of a cluster one after the other, under load, with nothing lost.

    every replica in sync ─▶ SIGTERM, exit, start ─▶ every replica in sync ─▶ the next …
        ─▶ preferred leaders elected

At no time is more than one broker out: with three replicas and two in sync demanded, writers never
notice more than a change of leader. Never goes on over a replica that is behind.
"""

from __future__ import annotations

import time

from penstock.errors import NotReady, Refused
from penstock.kafka import leaders, probes
from penstock.runtime import embedded

__all__ = ["rolling_restart", "wait_in_sync"]

_IN_SYNC_WITHIN_S = 120.0
_POLL_S = 0.1


def rolling_restart(cluster: embedded.Cluster) -> None:
    """Restart every broker, one at a time.

    Raises:
        Refused: for a cluster of one broker: there is nobody to take over.
        NotReady: when a broker does not come back, or its replicas do not catch up.
    """
    if len(cluster.brokers) == 1:
        raise Refused(
            f"Cluster {cluster.name} has one broker: a rolling restart is an outage. Use stop() and "
            "start_again(), or a cluster of three."
        )
    wait_in_sync(cluster)
    for broker in cluster.brokers:
        broker.stop()
        broker.start()
        cluster.wait_ready()
        wait_in_sync(cluster)
    leaders.elect_preferred(cluster.bootstrap)


def wait_in_sync(cluster: embedded.Cluster, *, timeout_s: float = _IN_SYNC_WITHIN_S) -> None:
    """Wait until every replica of every partition is in sync.

    Raises:
        NotReady: when the deadline passes, with how many partitions lack a replica.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        partitions = probes.look(cluster.bootstrap, timeout_s=timeout_s).partitions
        behind = [p for p in partitions if set(p.in_sync) != set(p.replicas)]
        if not behind:
            return
        if time.monotonic() > deadline:
            raise NotReady(
                f"{len(behind)} partitions of {cluster.name} lack a replica after {timeout_s:.0f} s, "
                f"{behind[0].topic}/{behind[0].number} first. See the logs of its brokers."
            )
        time.sleep(_POLL_S)
