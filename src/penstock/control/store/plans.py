"""Accepted plans and how far each of their changes has come, so that a killed apply goes on.

pending ─▶ started ─▶ done | failed | skipped
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, insert, select, update

from penstock.control import changes
from penstock.control.store.database import now_ms
from penstock.control.store.schema import plan_changes, plans

__all__ = [
    "AcceptedPlan",
    "PlannedChange",
    "Status",
    "accept",
    "count_pending",
    "finish",
    "mark",
    "pending",
]


class Status(StrEnum):
    """How far a change has come."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One change of an accepted plan."""

    seq: int
    change: changes.Change
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPlan:
    """A plan somebody agreed to.

    Attributes:
        who: the name of the token that agreed.
        changes: in order.
    """

    id: int
    digest: str
    who: str
    changes: tuple[PlannedChange, ...]


def accept(
    tx: Connection, *, digest: str, who: str, planned: Sequence[changes.Change]
) -> AcceptedPlan:
    """Record the plan, every change pending."""
    row = insert(plans).values(digest=digest, who=who, at_ms=now_ms(tx), finished=0)
    number = int(tx.execute(row.returning(plans.c.id)).scalar_one())
    rows = [
        {
            "plan": number,
            "seq": seq,
            "body": json.dumps(changes.to_record(change)),
            "status": Status.PENDING.value,
            "error": "",
        }
        for seq, change in enumerate(planned)
    ]
    if rows:
        tx.execute(insert(plan_changes), rows)
    accepted = tuple(
        PlannedChange(seq=seq, change=change, status=Status.PENDING)
        for seq, change in enumerate(planned)
    )
    return AcceptedPlan(id=number, digest=digest, who=who, changes=accepted)


def mark(tx: Connection, plan: int, seq: int, *, status: Status, error: str = "") -> None:
    """Record how far a change has come."""
    rows = plan_changes
    tx.execute(
        update(rows)
        .where(rows.c.plan == plan, rows.c.seq == seq)
        .values(status=status.value, error=error)
    )


def finish(tx: Connection, plan: int) -> None:
    """Record that nothing of the plan is still to be done."""
    tx.execute(update(plans).where(plans.c.id == plan).values(finished=1))


def pending(tx: Connection) -> list[AcceptedPlan]:
    """Return the plans that were begun and not finished, oldest first, with their changes.

    Raises:
        DataError: when a change was written by a newer Penstock.
    """
    found = tx.execute(select(plans).where(plans.c.finished == 0).order_by(plans.c.id))
    return [
        AcceptedPlan(id=row.id, digest=row.digest, who=row.who, changes=_changes(tx, row.id))
        for row in found
    ]


def count_pending(tx: Connection) -> int:
    """Return how many changes of accepted plans are still to be done."""
    joined = plan_changes.join(plans, plans.c.id == plan_changes.c.plan)
    open_statuses = [Status.PENDING.value, Status.STARTED.value]
    return int(
        tx.execute(
            select(func.count())
            .select_from(joined)
            .where(plans.c.finished == 0, plan_changes.c.status.in_(open_statuses))
        ).scalar_one()
    )


def _changes(tx: Connection, plan: int) -> tuple[PlannedChange, ...]:
    rows = plan_changes
    found = tx.execute(select(rows).where(rows.c.plan == plan).order_by(rows.c.seq))
    return tuple(
        PlannedChange(
            seq=row.seq,
            change=changes.from_record(json.loads(row.body)),
            status=Status(row.status),
        )
        for row in found
    )
