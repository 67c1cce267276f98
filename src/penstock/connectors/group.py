"""One Connect group, looked after: a round looks, decides, does, and tells.

    declared ─▶ wanted ┐
    Connect ─▶ observed ┴─make_plan─▶ apply ─▶ tries ─▶ statuses.Status …

A round may be cut off anywhere: the next one looks again. Not for several threads at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from penstock.connectors import statuses
from penstock.connectors.apply import Outcome, apply, explain
from penstock.connectors.lags import Meter
from penstock.connectors.observations import Observed
from penstock.connectors.plan import (
    Configure,
    Create,
    Plan,
    RestartFailed,
    fingerprint,
    is_ours,
    make_plan,
)
from penstock.connectors.rest import Connect
from penstock.connectors.settings import Settings
from penstock.connectors.statuses import Condition, Status
from penstock.connectors.tries import Tries
from penstock.connectors.wanted import SWITCH, Wanted, make_wanted
from penstock.errors import PenstockError
from penstock.kafka.admin import Admin
from penstock.model.connectors import Connector

__all__ = ["Group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What one round saw and did."""

    wanted: Mapping[str, Wanted]
    observed: Mapping[str, Observed]
    plan: Plan
    errors: Mapping[str, str] = field(default_factory=dict)


class Group:
    """The connectors of one cluster."""

    def __init__(
        self,
        cluster: str,
        *,
        environment: str,
        connect: Connect,
        bootstrap: str,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        """Do nothing yet.

        Args:
            cluster: its name.
            environment: of the cluster.
            connect: its Connect group; closed by `close`.
            bootstrap: the cluster's, for the age of topics; empty where it is not known.
            settings: of the process.
            clock: monotonic seconds.
        """
        self.cluster = cluster
        self.environment = environment
        self._connect = connect
        self._settings = settings
        self._clock = clock
        self._tries = Tries(pauses=settings.pauses)
        self._restarts: Counter[str] = Counter()
        self._did: dict[str, str] = {}
        self._meter = Meter(
            connect,
            admin=Admin(cluster, bootstrap) if bootstrap else None,
            secrets=settings.secrets_directory,
            every_s=settings.measure_every_s,
            clock=clock,
        )

    def close(self) -> None:
        """Close the connections."""
        self._meter.close()
        self._connect.close()

    def reconcile(self, declared: tuple[Connector, ...]) -> tuple[Status, ...]:
        """Make the group's connectors as declared, as far as that goes now; return how they are."""
        secrets = self._settings.secrets_directory
        wanted = {one.name: make_wanted(one, secrets=secrets) for one in declared}
        try:
            done = self._round(wanted)
        except PenstockError as error:
            return tuple(self._unknown(one, error.message) for one in wanted.values())
        observed = done.observed
        self._meter.follow({n: o for n, o in observed.items() if is_ours(o, self.environment)})
        return tuple(self._describe(done))

    def _round(self, wanted: Mapping[str, Wanted]) -> _Round:
        observed = self._connect.connectors()
        now_s = self._clock()
        healthy = frozenset(name for name, one in observed.items() if one.healthy)
        self._tries = self._tries.without_steady(healthy, now_s=now_s)
        self._tries = self._tries.without_absent(frozenset(wanted))
        plan = make_plan(
            wanted.values(),
            observed,
            environment=self.environment,
            tries=self._tries,
            now_s=now_s,
        )
        outcomes = apply(plan, self._connect)
        for outcome in outcomes:
            self._note(outcome, wanted)
        if outcomes:
            observed = self._connect.connectors()
        errors = {outcome.action.name: outcome.error for outcome in outcomes if outcome.error}
        return _Round(wanted=wanted, observed=observed, plan=plan, errors=errors)

    def _note(self, outcome: Outcome, wanted: Mapping[str, Wanted]) -> None:
        action = outcome.action
        if isinstance(action, Create | Configure | RestartFailed):
            self._tries = self._tries.with_try(
                action.name,
                fingerprint(wanted[action.name]),
                now_s=self._clock(),
                error=outcome.error,
            )
        if isinstance(action, RestartFailed):
            self._restarts[action.name] += 1
        if not outcome.error:
            self._did[action.name] = explain(action)

    def _describe(self, done: _Round) -> list[Status]:
        findings = {one.name: one.what for one in done.plan.findings}
        told = []
        for name, one in done.wanted.items():
            seen = done.observed.get(name)
            if name in findings:
                state, error = Condition.FOREIGN, findings[name]
            elif seen is None:
                state, error = Condition.ABSENT, self._error(name, done)
            else:
                state = statuses.condition(seen)
                error = seen.reason or done.errors.get(name, "")
            told.append(self._status(one, seen, state, error))
        for name, seen in done.observed.items():
            if name not in done.wanted and is_ours(seen, self.environment):
                told.append(self._retired(seen))
        return told

    def _error(self, name: str, done: _Round) -> str:
        last = self._tries.latest.get(name)
        return done.errors.get(name) or (last.error if last else "") or "it is being made"

    def _status(
        self, wanted: Wanted, seen: Observed | None, state: Condition, error: str
    ) -> Status:
        last = self._tries.latest.get(wanted.name)
        due_s = self._tries.due_at_s(wanted.name, fingerprint(wanted)) - self._clock()
        troubled = state in {Condition.FAILED, Condition.ABSENT}
        said = seen.config.get(SWITCH, "") if seen else ""
        return Status(
            ident=wanted.ident,
            name=wanted.name,
            cluster=self.cluster,
            wanted=f"{said} by an operator" if said else wanted.state.value,
            condition=state,
            tasks=tuple(task.state.value.lower() for task in seen.tasks) if seen else (),
            workers=tuple(sorted({task.worker for task in seen.tasks})) if seen else (),
            error=error,
            tries=last.count if last and troubled else 0,
            next_try_s=round(max(0.0, due_s), 1) if last and troubled else 0.0,
            restarts=self._restarts[wanted.name],
            did=self._did.get(wanted.name, ""),
            topics=self._meter.of(wanted.name).topics,
            lag=self._meter.of(wanted.name).lag,
        )

    def _retired(self, seen: Observed) -> Status:
        return Status(
            ident=f"{self.environment}/{seen.name}",
            name=seen.name,
            cluster=self.cluster,
            wanted="",
            condition=Condition.RETIRED,
            did=self._did.get(seen.name, ""),
            error="declared no more: stopped, its position is kept. Declare it again, or remove it "
            f"for good: penstock connector delete {seen.name}",
            topics=self._meter.of(seen.name).topics,
            lag=self._meter.of(seen.name).lag,
        )

    def _unknown(self, wanted: Wanted, error: str) -> Status:
        return Status(
            ident=wanted.ident,
            name=wanted.name,
            cluster=self.cluster,
            wanted=wanted.state.value,
            condition=Condition.UNKNOWN,
            error=error,
            restarts=self._restarts[wanted.name],
        )
