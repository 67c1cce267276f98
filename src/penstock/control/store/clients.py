"""The clients heard from lately, and the versions they have applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from penstock.control.store import bodies
from penstock.control.store.database import now_ms, put
from penstock.control.store.schema import clients

__all__ = ["Report", "SeenClient", "record", "seen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a client says of itself.

    Attributes:
        instance: one running client; a random id.
        version: of the metadata it has applied.
        topics: logical names it asked for; none means all.
    """

    service: str
    instance: str
    sdk_version: str = ""
    version: int = 0
    environment: str = ""
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenClient:
    """A report, and when it came."""

    report: Report
    last_seen_ms: int


def record(tx: Connection, reports: Iterable[Report], *, forget_after_s: float) -> None:
    """Keep the reports, as of now, and forget who was silent for too long."""
    now = now_ms(tx)
    for report in reports:
        put(
            tx,
            clients,
            instance=report.instance,
            last_seen_ms=now,
            body=bodies.encode(report),
        )
    tx.execute(delete(clients).where(clients.c.last_seen_ms < now - int(forget_after_s * 1_000)))


def seen(tx: Connection) -> list[SeenClient]:
    """Return the clients heard from lately, the latest first."""
    found = tx.execute(select(clients).order_by(clients.c.last_seen_ms.desc(), clients.c.instance))
    return [
        SeenClient(report=bodies.decode(Report, row.body), last_seen_ms=row.last_seen_ms)
        for row in found
    ]
