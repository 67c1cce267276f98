"""What each change does, to a cluster or to the record; every one may be done again.

    change ─▶ cluster first ─▶ then, in one transaction: the record, the audit, "done"

A kill between the two is healed by doing the change again. Deleting is the one dangerous effect,
and has a module of its own.
"""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection

from penstock.control import changes
from penstock.control.deleting import Doomed, delete_topic_when_empty
from penstock.control.observe import admin_of
from penstock.control.store import audit, estates, plans, switches
from penstock.control.store.database import Database
from penstock.control.store.plans import AcceptedPlan, PlannedChange, Status
from penstock.errors import Conflict, NotReady
from penstock.kafka.admin import Admin

__all__ = ["Effects"]


class Effects:
    """Does changes, one at a time.

    Attributes:
        database: the store.
    """

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        """Connect to nothing yet; each request to a cluster has this long."""
        self.database = database
        self._timeout_s = timeout_s
        self._admins: dict[str, Admin] = {}

    def do(self, plan: AcceptedPlan, planned: PlannedChange) -> None:
        """Do one change of the plan, and record it.

        Raises:
            NotReady: when the cluster or the store does not answer.
            Refused: when the cluster says no, or the topic to delete holds records.
            Conflict: when something else than planned is there.
        """
        change = planned.change
        with self.database.write() as tx:
            plans.mark(tx, plan.id, planned.seq, status=Status.STARTED)
        self._touch_cluster(plan, change)
        with self.database.write() as tx:
            _record(tx, change)
            plans.mark(tx, plan.id, planned.seq, status=Status.DONE)
            audit.append(
                tx,
                who=plan.who,
                what=change.kind,
                subject=_subject(change),
                reason=f"plan {plan.id}",
                before=change.before,
                after=change.after,
            )

    def note_failure(
        self, plan: AcceptedPlan, planned: PlannedChange, *, status: Status, error: str
    ) -> None:
        """Record that a change failed or was skipped, and why."""
        change = planned.change
        with self.database.write() as tx:
            plans.mark(tx, plan.id, planned.seq, status=status, error=error)
            audit.append(
                tx,
                who=plan.who,
                what=f"{change.kind}-{status.value}",
                subject=_subject(change),
                reason=f"plan {plan.id}: {error}",
            )

    def admin(self, cluster: str) -> Admin:
        """Return the administration of a recorded cluster.

        Raises:
            NotReady: when it is not recorded, or has not been started.
        """
        if cluster not in self._admins:
            with self.database.read() as tx:
                recorded = estates.cluster(tx, cluster)
            if recorded is None:
                raise NotReady(f"cluster {cluster} is not recorded; plan and apply again")
            self._admins[cluster] = admin_of(recorded, timeout_s=self._timeout_s)
        return self._admins[cluster]

    def _touch_cluster(self, plan: AcceptedPlan, change: changes.Change) -> None:
        match change:
            case changes.CreateTopic():
                self._create(change)
            case changes.IncreasePartitions():
                self.admin(change.cluster).increase_partitions(change.topic, to=change.new)
            case changes.AlterConfig():
                self.admin(change.cluster).alter_config(
                    change.topic, values=change.set, unset=change.unset
                )
            case changes.DeleteTopic():
                self._delete(plan, change)
            case changes.RegisterCluster() | changes.UpdateCluster():
                self._admins.pop(change.subject, None)
            case _:
                pass  # only recorded

    def _create(self, change: changes.CreateTopic) -> None:
        placement = change.placement
        admin = self.admin(placement.cluster)
        admin.create_topic(
            placement.topic,
            partitions=placement.partitions,
            replication=placement.replication,
            config=placement.config,
        )
        there = admin.partition_count(placement.topic)
        if there != placement.partitions:
            raise Conflict(
                f"somebody else created {placement.topic} on {placement.cluster}, with {there} "
                f"partitions instead of {placement.partitions}; plan again to adopt it"
            )

    def _delete(self, plan: AcceptedPlan, change: changes.DeleteTopic) -> None:
        """Delete one placement, once every placement the plan deletes is proven empty."""
        doomed = {
            planned.change.cluster: self._doomed(planned.change)
            for planned in plan.changes
            if isinstance(planned.change, changes.DeleteTopic)
            and planned.change.ident == change.ident
        }
        delete_topic_when_empty(doomed[change.cluster], siblings=list(doomed.values()))

    def _doomed(self, change: changes.DeleteTopic) -> Doomed:
        return Doomed(
            admin=self.admin(change.cluster),
            topic=change.subject,
            config=change.placement.config,
        )


def _record(tx: Connection, change: changes.Change) -> None:  # noqa: C901, PLR0912 - one arm a change
    match change:
        case changes.RegisterCluster() | changes.UpdateCluster():
            estates.put_cluster(tx, change.new)
        case changes.ForgetCluster():
            estates.drop_cluster(tx, change.subject)
        case changes.CreateTopic() | changes.AdoptTopic():
            estates.own(tx, change.cluster, change.subject, ident=change.ident)
        case changes.DeleteTopic() | changes.ReleaseTopic():
            estates.disown(tx, change.cluster, change.subject)
        case changes.IncreasePartitions() | changes.AlterConfig():
            served = estates.topic(tx, change.ident)
            if served is not None:
                estates.put_topic(tx, changes.follow(served, change))
        case changes.DeclareTopic() | changes.UpdateTopic():
            estates.put_topic(tx, change.new)
            switches.drop_stale(tx, change.new)
        case changes.RetireTopic():
            estates.drop_topic(tx, change.subject)
        case changes.DeclareTable() | changes.UpdateTable():
            estates.put_table(tx, change.new)
        case changes.RemoveTable():
            estates.drop_table(tx, change.subject)
        case changes.DeclareConnector() | changes.UpdateConnector():
            estates.put_connector(tx, change.new)
        case changes.RemoveConnector():
            estates.drop_connector(tx, change.subject)
        case _:
            assert_never(change)


def _subject(change: changes.Change) -> str:
    return f"{change.cluster}/{change.subject}" if change.cluster else change.subject
