"""Do an accepted plan, and nothing else; go on with it after a kill.

    survey again ─same digest?─▶ accept (plan, files, audit: one transaction)
        ─▶ each change: started ─▶ effect ─▶ record + audit + done (one transaction) ─▶ report

Every effect may be repeated, so a change that was started and not done is simply done again. What
fails holds back only what depends on it: the later changes of a cluster that does not answer, and
the rest of that topic. Never does anything here decide what should be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from penstock.control import changes
from penstock.control.effects import Effects
from penstock.control.store import audit, estates, plans
from penstock.control.store.database import Database
from penstock.control.store.plans import AcceptedPlan, PlannedChange, Status
from penstock.control.survey import Survey
from penstock.errors import Conflict, NotReady, PenstockError

__all__ = ["Progress", "accept", "carry_out"]

_OVER = {Status.DONE, Status.FAILED, Status.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What just happened to a change.

    Attributes:
        done: how many changes of the plan are over, whatever their outcome.
    """

    change: changes.Change
    status: Status
    error: str
    done: int
    total: int


@dataclass(slots=True)
class _Failures:
    """What went wrong so far in one plan, by what depends on it."""

    clusters: set[str] = field(default_factory=set)
    topics: set[str] = field(default_factory=set)

    def add(self, change: changes.Change, error: PenstockError) -> None:
        self.topics.update(_topics_of(change))
        if isinstance(error, NotReady) and change.cluster:
            self.clusters.add(change.cluster)
        if isinstance(change, changes.RegisterCluster | changes.UpdateCluster):
            self.clusters.add(change.subject)

    def block(self, change: changes.Change) -> str:
        """Return why the change is not even tried, or an empty text."""
        if change.cluster in self.clusters:
            return f"an earlier change on cluster {change.cluster} failed"
        for ident in _topics_of(change):
            if ident in self.topics:
                return f"an earlier change of topic {ident} failed"
        return ""


def accept(database: Database, seen: Survey, *, digest: str, who: str) -> AcceptedPlan:
    """Record that somebody agreed to this plan.

    Args:
        database: the store.
        seen: a survey made just now.
        digest: of the plan that was agreed to.
        who: the name of the token that agreed.

    Raises:
        Conflict: when the plan of now is another one.
    """
    if seen.plan.digest != digest:
        raise Conflict(
            "the clusters, the estate or the store have changed since that plan was made; "
            "plan again, read it, and apply that"
        )
    with database.write() as tx:
        estates.put_files(tx, seen.files)
        accepted = plans.accept(tx, digest=digest, who=who, planned=seen.plan.changes)
        audit.append(
            tx,
            who=who,
            what="accept-plan",
            subject=f"plan {accepted.id}",
            after={
                "digest": digest,
                "changes": [change.summary() for change in seen.plan.changes],
                "refusals": [refusal.reason for refusal in seen.plan.refusals],
                "files": [file.path for file in seen.files],
            },
        )
    return accepted


def carry_out(
    plan: AcceptedPlan,
    *,
    effects: Effects,
    may_go_on: Callable[[], bool],
    report: Callable[[Progress], None],
) -> bool:
    """Do what of the plan is still to be done; tell whether all of it is over.

    Args:
        plan: from `accept`, or read again after a kill.
        effects: what does one change.
        may_go_on: asked before each change; False stops, and leaves the rest for later.
        report: called as things happen, from this thread.
    """
    failures = _Failures()
    for number, planned in enumerate(plan.changes, start=1):
        if planned.status in _OVER:
            continue
        if not may_go_on():
            return False
        _report(report, plan, planned, status=Status.STARTED, done=number - 1)
        status, error = _do(plan, planned, effects=effects, failures=failures)
        _report(report, plan, planned, status=status, error=error, done=number)
    with effects.database.write() as tx:
        plans.finish(tx, plan.id)
    return True


def _do(
    plan: AcceptedPlan, planned: PlannedChange, *, effects: Effects, failures: _Failures
) -> tuple[Status, str]:
    change = planned.change
    if reason := failures.block(change):
        effects.note_failure(plan, planned, status=Status.SKIPPED, error=reason)
        return Status.SKIPPED, reason
    try:
        effects.do(plan, planned)
    except PenstockError as error:
        failures.add(change, error)
        effects.note_failure(plan, planned, status=Status.FAILED, error=error.message)
        return Status.FAILED, error.message
    return Status.DONE, ""


def _report(
    report: Callable[[Progress], None],
    plan: AcceptedPlan,
    planned: PlannedChange,
    *,
    status: Status,
    done: int,
    error: str = "",
) -> None:
    report(
        Progress(
            change=planned.change,
            status=status,
            error=error,
            done=done,
            total=len(plan.changes),
        )
    )


def _topics_of(change: changes.Change) -> Sequence[str]:
    """Return the logical topics a change belongs to or depends on."""
    match change:
        case (
            changes.CreateTopic()
            | changes.AdoptTopic()
            | changes.IncreasePartitions()
            | changes.AlterConfig()
            | changes.DeleteTopic()
            | changes.ReleaseTopic()
        ):
            return (change.ident,)
        case changes.DeclareTopic() | changes.UpdateTopic() | changes.RetireTopic():
            return (change.subject,)
        case changes.DeclareTable() | changes.UpdateTable():
            return (f"{change.new.environment}/{change.new.topic}",)
        case changes.DeclareConnector() | changes.UpdateConnector():
            return tuple(f"{change.new.environment}/{topic}" for topic in change.new.topics)
        case _:
            return ()
