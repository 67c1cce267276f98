"""Who did what, with what before and after; only ever added to.

Written in the same transaction as what it tells of. The database itself refuses to change or
remove an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from penstock.control.store import bodies
from penstock.control.store.database import now_ms
from penstock.control.store.schema import audit

__all__ = ["Entry", "append", "entries"]

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was done; ``before`` and ``after`` are JSON, or empty."""

    id: int
    at_ms: int
    who: str
    what: str
    subject: str
    reason: str
    before: str
    after: str


def append(
    tx: Connection,
    *,
    who: str,
    what: str,
    subject: str,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry, with the database's time."""
    tx.execute(
        insert(audit).values(
            at_ms=now_ms(tx),
            who=who,
            what=what,
            subject=subject,
            reason=reason,
            before=bodies.to_text(before),
            after=bodies.to_text(after),
        )
    )


def entries(
    tx: Connection, *, limit: int = 0, before_id: int = 0, subject: str = ""
) -> list[Entry]:
    """Return the newest entries first.

    Args:
        tx: the transaction.
        limit: at most this many, 1,000 at the very most; 0 means 100.
        before_id: only entries older than this one; 0 for the newest.
        subject: only entries of this subject; empty for all.
    """
    query = (
        select(audit).order_by(audit.c.id.desc()).limit(min(limit or _DEFAULT_LIMIT, _MAX_LIMIT))
    )
    if before_id:
        query = query.where(audit.c.id < before_id)
    if subject:
        query = query.where(audit.c.subject == subject)
    return [Entry(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name
