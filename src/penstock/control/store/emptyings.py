"""Topics whose cleanup policy is changed while they are emptied, and what it was before.

    begin (remembers) ─▶ records deleted ─▶ policy restored ─▶ end (forgets)

So an emptying that is killed half way leaves no topic with a policy nobody declared.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from penstock.control.store.database import put
from penstock.control.store.schema import emptyings

__all__ = ["Emptying", "begin", "end", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptying:
    """A physical topic being emptied.

    Attributes:
        cleanup_policy: as set on the topic before; None where it was the broker's default.
    """

    cluster: str
    topic: str
    cleanup_policy: str | None


def begin(tx: Connection, emptying: Emptying) -> None:
    """Remember the policy; one remembered before is kept, since it is the older truth."""
    rows = emptyings
    known = select(rows).where(rows.c.cluster == emptying.cluster, rows.c.topic == emptying.topic)
    if tx.execute(known).one_or_none() is None:
        put(
            tx,
            rows,
            cluster=emptying.cluster,
            topic=emptying.topic,
            cleanup_policy=emptying.cleanup_policy,
        )


def end(tx: Connection, emptying: Emptying) -> None:
    """Forget the policy: it is restored."""
    rows = emptyings
    tx.execute(
        delete(rows).where(rows.c.cluster == emptying.cluster, rows.c.topic == emptying.topic)
    )


def unfinished(tx: Connection) -> list[Emptying]:
    """Return the emptyings whose policy is still to be restored."""
    return [
        Emptying(cluster=row.cluster, topic=row.topic, cleanup_policy=row.cleanup_policy)
        for row in tx.execute(select(emptyings))
    ]
