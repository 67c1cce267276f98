"""One holder at a time, among all control planes of one store, until its time is over.

A lease is taken, kept and taken over with the same call. Expiry is by the database's clock.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from penstock.control.store.database import now_ms, put
from penstock.control.store.schema import leases

__all__ = ["APPLY", "LEADER", "holder", "release", "take"]

LEADER = "leader"
"""Who reconciles."""
APPLY = "apply"
"""Who carries out a plan; one plan at a time."""


def take(tx: Connection, name: str, *, me: str, seconds: float) -> bool:
    """Take or keep the lease; tell whether it is mine now."""
    now = now_ms(tx)
    row = tx.execute(select(leases).where(leases.c.name == name)).one_or_none()
    if row is not None and row.holder != me and row.expires_at_ms > now:
        return False
    put(tx, leases, name=name, holder=me, expires_at_ms=now + int(seconds * 1_000))
    return True


def release(tx: Connection, name: str, *, me: str) -> None:
    """Give the lease back, if it is mine."""
    tx.execute(delete(leases).where(leases.c.name == name, leases.c.holder == me))


def holder(tx: Connection, name: str) -> str:
    """Return who holds the lease now, or the empty string."""
    now = now_ms(tx)
    found = tx.execute(
        select(leases.c.holder).where(leases.c.name == name, leases.c.expires_at_ms > now)
    ).scalar_one_or_none()
    return found or ""
