"""The control plane's work, blocking, behind one object; servers and the loop call it in threads.

    plan · apply · drift · switches · empty ─▶ survey, apply, switching, emptying ─▶ store, clusters

One plan or emptying at a time, among all control planes of the store: the lease ``apply`` sees to
it. What was agreed to is carried out even when nobody listens any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from penstock.control import apply, emptying, switching
from penstock.control.declare.estate import EstateFile
from penstock.control.effects import Effects
from penstock.control.leadership import Lease
from penstock.control.plan import Plan
from penstock.control.settings import Settings
from penstock.control.store import emptyings, estates, leases, plans, switches
from penstock.control.store.database import Database
from penstock.control.store.plans import Status
from penstock.control.survey import Survey, survey, survey_applied
from penstock.errors import NotReady

__all__ = ["ControlPlane"]

# After a power cut the clusters come up beside us: a plan half done waits for them so long.
_PATIENCE_S = 60.0
# How long a plan waits for its turn: an emptying is over in that time, another plan may not be.
_TURN_S = 5.0
_RETRY_S = 0.1


class ControlPlane:
    """What operators and the reconcile loop ask for; any thread may call it.

    Attributes:
        database: the store.
        settings: of this process.
        me: this process among all control planes of the store.
    """

    def __init__(self, database: Database, settings: Settings, *, me: str) -> None:
        """Start nothing."""
        self.database = database
        self.settings = settings
        self.me = me
        self._stopping = threading.Event()
        # Leases tell processes apart; this tells the threads of one process apart.
        self._busy = threading.Lock()
        self._patient_until = time.monotonic() + _PATIENCE_S

    def stop(self) -> None:
        """Begin no further change; what is left of a plan is resumed by the next leader."""
        self._stopping.set()

    def plan(self, files: Sequence[EstateFile]) -> Plan:
        """Compare estate files with the clusters; change nothing."""
        return survey(files, database=self.database, settings=self.settings).plan

    def survey_applied(self) -> Survey:
        """Compare the files of the last apply with the clusters; change nothing."""
        return survey_applied(database=self.database, settings=self.settings)

    def apply(
        self,
        files: Sequence[EstateFile],
        *,
        digest: str,
        who: str,
        report: Callable[[apply.Progress], None],
    ) -> None:
        """Do exactly the plan with this digest.

        Raises:
            ConfigError: when the files are wrong.
            Conflict: when the plan of now is another one.
            NotReady: when another plan is being done, or this process stops.
        """
        with self._alone() as (effects, may_go_on):
            self._resume(effects, may_go_on)
            seen = survey(files, database=self.database, settings=self.settings)
            accepted = apply.accept(self.database, seen, digest=digest, who=who)
            over = apply.carry_out(accepted, effects=effects, may_go_on=may_go_on, report=report)
        if not over:
            raise NotReady(
                f"this control plane stopped in the middle of plan {accepted.id}, or lost its lease; "
                "the rest is done by the one that leads next, see `penstock audit`"
            )

    def resume(self) -> None:
        """Finish what a killed control plane left half done; nothing where another one is at it.

        Raises:
            NotReady: when a cluster or the store does not answer; try again later.
        """
        with self.database.read() as tx:
            if not plans.pending(tx) and not emptyings.unfinished(tx):
                return
        try:
            with self._alone() as (effects, may_go_on):
                if time.monotonic() < self._patient_until:
                    self._demand_answers(effects)
                self._resume(effects, may_go_on)
                emptying.restore_policies(effects)
        except _Busy:
            return

    def empty_topic(
        self, name: str, *, environment: str, confirm: str, who: str, reason: str
    ) -> list[emptying.Emptied]:
        """Delete every record of a topic, on every cluster.

        Raises:
            ConfigError: when there is no such topic, or the confirmation is not its name.
            NotReady: when a cluster does not answer, or a plan is being done.
            Refused: when a cluster does not allow it.
        """
        with self.database.read() as tx:
            topic = switching.find_topic(switches.snapshot(tx), name, environment=environment)
        with self._alone() as (effects, _):
            return emptying.empty_topic(
                topic, confirm=confirm, effects=effects, who=who, reason=reason
            )

    def _resume(self, effects: Effects, may_go_on: Callable[[], bool]) -> None:
        with self.database.read() as tx:
            left = plans.pending(tx)
        for plan in left:
            apply.carry_out(plan, effects=effects, may_go_on=may_go_on, report=lambda _: None)

    def _demand_answers(self, effects: Effects) -> None:
        """Raise NotReady unless every recorded cluster of a plan half done answers."""
        with self.database.read() as tx:
            left = plans.pending(tx)
            recorded = estates.recorded(tx).clusters.keys() if left else set()
        waiting = {
            planned.change.cluster
            for plan in left
            for planned in plan.changes
            if planned.status in {Status.PENDING, Status.STARTED}
        }
        for cluster in sorted(waiting & recorded):
            effects.admin(cluster).look()

    @contextmanager
    def _alone(self) -> Iterator[tuple[Effects, Callable[[], bool]]]:
        if self._stopping.is_set():
            raise _Busy("this control plane is stopping; try again in a moment")
        if not self._busy.acquire(timeout=_TURN_S):
            raise _Busy("another plan is being done; try again when it is over")
        lease = Lease(self.database, leases.APPLY, me=self.me, seconds=self.settings.lease_s)
        try:
            self._take_turn(lease)
            try:
                effects = Effects(self.database, timeout_s=self.settings.observe_timeout_s)
                yield effects, lambda: lease.held and not self._stopping.is_set()
            finally:
                lease.release()
        finally:
            self._busy.release()

    def _take_turn(self, lease: Lease) -> None:
        deadline = time.monotonic() + _TURN_S
        while not lease.try_take():
            if time.monotonic() > deadline or self._stopping.wait(_RETRY_S):
                raise _Busy("another control plane is doing a plan; try again when it is over")


class _Busy(NotReady):
    """Somebody else is changing the clusters."""
