"""Handlers of the ``Control`` service: what operators do.

    request ─▶ ControlPlane (in a thread) ─▶ hub refreshed, so that watchers hear at once ─▶ response

An apply goes on when the caller has gone: its thread belongs to the server, not to the call.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from importlib.metadata import version as version_of

from penstock.api import wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.control import changes, switching
from penstock.control.apply import Progress
from penstock.control.declare.estate import EstateFile
from penstock.control.plan import Plan
from penstock.control.plane import ControlPlane
from penstock.control.reconcile import Reconciler
from penstock.control.server.access import Caller
from penstock.control.server.endpoints import Handlers
from penstock.control.server.hub import Hub
from penstock.control.server.registry import Registry
from penstock.control.store import audit, health, leases, plans
from penstock.control.store.plans import Status
from penstock.errors import PenstockError, RemoteError

__all__ = ["Operating"]

_OUTCOMES = {
    Status.STARTED: pb.OUTCOME_STARTED,
    Status.DONE: pb.OUTCOME_DONE,
    Status.FAILED: pb.OUTCOME_FAILED,
    Status.SKIPPED: pb.OUTCOME_SKIPPED,
}
_End = None


class Operating:
    """What operators can do."""

    def __init__(
        self, plane: ControlPlane, reconciler: Reconciler, hub: Hub, registry: Registry
    ) -> None:
        """Serve with these."""
        self._plane = plane
        self._reconciler = reconciler
        self._hub = hub
        self._registry = registry
        self._applies: set[threading.Thread] = set()

    @property
    def handlers(self) -> Handlers:
        """Return the handlers by method."""
        return {
            "Plan": self.plan,
            "Apply": self.apply,
            "GetDrift": self.get_drift,
            "CordonCluster": self.cordon_cluster,
            "UncordonCluster": self.uncordon_cluster,
            "SetActiveCluster": self.set_active_cluster,
            "FailBack": self.fail_back,
            "EmptyTopic": self.empty_topic,
            "ListAudit": self.list_audit,
            "GetStatus": self.get_status,
        }

    def join(self, *, timeout_s: float) -> None:
        """Wait for applies under way to stop after their current change."""
        for thread in list(self._applies):
            thread.join(timeout_s)

    async def plan(self, request: pb.PlanRequest, _caller: Caller) -> pb.PlanResponse:
        """Compare estate files with the clusters."""
        return _encode_plan(await asyncio.to_thread(self._plane.plan, _files(request.files)))

    async def get_drift(self, _request: pb.GetDriftRequest, _caller: Caller) -> pb.PlanResponse:
        """Compare what was last applied with the clusters."""
        return _encode_plan((await asyncio.to_thread(self._plane.survey_applied)).plan)

    async def apply(self, request: pb.ApplyRequest, caller: Caller) -> AsyncIterator[pb.ApplyEvent]:
        """Do exactly the plan with this digest; yield what happens."""
        loop = asyncio.get_running_loop()
        # As long as the plan, which has been read already: no more bounded than that.
        events: asyncio.Queue[pb.ApplyEvent | PenstockError | None] = asyncio.Queue()

        def tell(event: pb.ApplyEvent | PenstockError | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        def work() -> None:
            tell(self._apply(request, caller.name, lambda p: tell(_encode_progress(p))))

        thread = threading.Thread(target=work, name="apply", daemon=True)
        self._applies = {t for t in self._applies if t.is_alive()} | {thread}
        thread.start()
        while (event := await events.get()) is not _End:
            if isinstance(event, PenstockError):
                raise event
            yield event
        # Whoever reads the metadata after an apply finds what was applied.
        await self._hub.refresh()

    async def cordon_cluster(self, request: pb.CordonClusterRequest, caller: Caller) -> pb.Cluster:
        """Make producers leave the cluster."""
        await self._switch(
            lambda: switching.cordon(
                self._plane.database, request.name, who=caller.name, reason=request.reason
            )
        )
        return wire.encode_cluster(self._hub.snapshot.clusters[request.name])

    async def uncordon_cluster(
        self, request: pb.UncordonClusterRequest, caller: Caller
    ) -> pb.Cluster:
        """Let producers choose the cluster again."""
        await self._switch(
            lambda: switching.uncordon(
                self._plane.database, request.name, who=caller.name, reason=request.reason
            )
        )
        return wire.encode_cluster(self._hub.snapshot.clusters[request.name])

    async def set_active_cluster(
        self, request: pb.SetActiveClusterRequest, caller: Caller
    ) -> pb.Topic:
        """Send producers of a failover topic to one cluster first."""
        ident = self._ident(request.name, request.environment)
        await self._switch(
            lambda: switching.activate(
                self._plane.database,
                ident,
                cluster=request.cluster,
                who=caller.name,
                reason=request.reason,
            )
        )
        return wire.encode_topic(self._hub.snapshot.topics[ident])

    async def fail_back(self, request: pb.FailBackRequest, caller: Caller) -> pb.Topic:
        """Send producers of a failover topic back to the declared order."""
        ident = self._ident(request.name, request.environment)
        await self._switch(
            lambda: switching.fail_back(
                self._plane.database, ident, who=caller.name, reason=request.reason
            )
        )
        return wire.encode_topic(self._hub.snapshot.topics[ident])

    async def empty_topic(
        self, request: pb.EmptyTopicRequest, caller: Caller
    ) -> pb.EmptyTopicResponse:
        """Delete every record of a topic, on every cluster."""
        emptied = await asyncio.to_thread(
            self._plane.empty_topic,
            request.name,
            environment=request.environment,
            confirm=request.confirm,
            who=caller.name,
            reason=request.reason,
        )
        return pb.EmptyTopicResponse(
            placements=[
                pb.EmptiedPlacement(cluster=e.cluster, topic=e.topic, records=e.records)
                for e in emptied
            ]
        )

    async def list_audit(
        self, request: pb.ListAuditRequest, _caller: Caller
    ) -> pb.ListAuditResponse:
        """Return who did what, newest first."""
        found = await asyncio.to_thread(self._audit, request)
        return pb.ListAuditResponse(
            entries=[
                pb.AuditEntry(
                    id=entry.id,
                    at_ms=entry.at_ms,
                    who=entry.who,
                    what=entry.what,
                    subject=entry.subject,
                    reason=entry.reason,
                    before=entry.before,
                    after=entry.after,
                )
                for entry in found
            ]
        )

    async def get_status(self, _request: pb.GetStatusRequest, _caller: Caller) -> pb.Status:
        """Return the health of the control plane and of what it watches."""
        status = await asyncio.to_thread(self._status)
        status.clients = len(await self._registry.seen())
        status.version = self._hub.snapshot.version
        return status

    def _apply(
        self, request: pb.ApplyRequest, who: str, report: Callable[[Progress], None]
    ) -> PenstockError | None:
        """Apply in this thread; return the error rather than lose it with the thread."""
        try:
            self._plane.apply(_files(request.files), digest=request.digest, who=who, report=report)
        except PenstockError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a thread's error is lost otherwise
            failure = RemoteError(f"applying failed ({error!r}); see the control plane's log")
            failure.__cause__ = error
            return failure
        return _End

    async def _switch(self, work: Callable[[], None]) -> None:
        await asyncio.to_thread(work)
        await self._hub.refresh()

    def _ident(self, name: str, environment: str) -> str:
        return switching.find_topic(self._hub.snapshot, name, environment=environment).ident

    def _audit(self, request: pb.ListAuditRequest) -> list[audit.Entry]:
        with self._plane.database.read() as tx:
            return audit.entries(
                tx, limit=request.limit, before_id=request.before_id, subject=request.subject
            )

    def _status(self) -> pb.Status:
        with self._plane.database.read() as tx:
            return pb.Status(
                leader=leases.holder(tx, leases.LEADER),
                leading=self._reconciler.leading,
                clusters=[
                    pb.ObservedCluster(
                        name=seen.name,
                        reachable=seen.reachable,
                        error=seen.error,
                        brokers=seen.brokers,
                        topics=seen.topics,
                        under_replicated_partitions=seen.under_replicated_partitions,
                        observed_at_ms=at_ms,
                    )
                    for seen, at_ms in health.clusters(tx)
                ],
                pending_changes=plans.count_pending(tx),
                drifted=health.drifted(tx),
                penstock_version=version_of("penstock"),
            )


def _files(messages: Iterable[pb.EstateFile]) -> list[EstateFile]:
    return [EstateFile(path=file.path, content=file.content) for file in messages]


def _encode_change(change: changes.Change) -> pb.Change:
    return pb.Change(
        kind=change.kind,
        cluster=change.cluster,
        subject=change.subject,
        summary=change.summary(),
        before=json.dumps(change.before, sort_keys=True),
        after=json.dumps(change.after, sort_keys=True),
    )


def _encode_progress(progress: Progress) -> pb.ApplyEvent:
    return pb.ApplyEvent(
        change=_encode_change(progress.change),
        outcome=_OUTCOMES[progress.status],
        error=progress.error,
        done=progress.done,
        total=progress.total,
    )


def _encode_plan(plan: Plan) -> pb.PlanResponse:
    return pb.PlanResponse(
        digest=plan.digest,
        changes=[_encode_change(change) for change in plan.changes],
        refusals=[
            pb.Refusal(
                cluster=refusal.cluster,
                subject=refusal.subject,
                reason=refusal.reason,
                next_step=refusal.next_step,
            )
            for refusal in plan.refusals
        ],
        unreachable=plan.unreachable,
    )
