"""What the leader saw last: the health of each cluster, and how far the estate has drifted.

For people and metrics only: no plan is ever made from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from penstock.control.store import bodies
from penstock.control.store.database import now_ms, put
from penstock.control.store.schema import drift, health

__all__ = ["ClusterHealth", "clusters", "drifted", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealth:
    """A cluster at one look.

    Attributes:
        error: why it did not answer, for people.
        observed_at_ms: set by `record`.
    """

    name: str
    reachable: bool
    error: str = ""
    brokers: int = 0
    topics: int = 0
    under_replicated_partitions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    health: ClusterHealth
    observed_at_ms: int


def record(tx: Connection, seen: Iterable[ClusterHealth], *, drifted: int) -> None:
    """Replace what was seen before."""
    now = now_ms(tx)
    tx.execute(delete(health))
    for cluster in seen:
        body = bodies.encode(_Row(health=cluster, observed_at_ms=now))
        put(tx, health, cluster=cluster.name, body=body)
    put(tx, drift, id=1, changes=drifted)


def clusters(tx: Connection) -> list[tuple[ClusterHealth, int]]:
    """Return each cluster's health and when it was looked at."""
    rows = [
        bodies.decode(_Row, body)
        for body in tx.execute(select(health.c.body).order_by(health.c.cluster)).scalars()
    ]
    return [(row.health, row.observed_at_ms) for row in rows]


def drifted(tx: Connection) -> int:
    """Return how many changes a plan of the last applied files would hold."""
    return int(tx.execute(select(drift.c.changes)).scalar_one_or_none() or 0)
