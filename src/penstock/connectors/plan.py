"""What has to be done so that a Connect group runs the declared connectors: values in, values out.

    wanted + observed + tries ─make_plan─▶ Plan(actions in order, findings)
        not there ─▶ Create          configuration differs ─▶ Configure
        state differs ─▶ Pause · Resume · Stop
        failed, and its pause is over ─▶ RestartFailed
        ours, and declared no more ─▶ Retire: stopped, never deleted

Only connectors that carry our owner key are ever touched. A connector of somebody else's under a
declared name is a finding, and so is one of ours whose stored position would mean something else
under the declared configuration: both are told, and left as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from penstock.connectors.observations import Observed, State
from penstock.connectors.tries import Tries
from penstock.connectors.wanted import OWNER, SWITCH, Wanted
from penstock.model.connectors import ConnectorState

__all__ = [
    "Action",
    "Configure",
    "Create",
    "Finding",
    "Pause",
    "Plan",
    "RestartFailed",
    "Resume",
    "Retire",
    "Stop",
    "fingerprint",
    "is_ours",
    "make_plan",
]

_POSITION_KEYS = ("connector.class", "topic.prefix", "slot.name", "database.dbname")
"""What a stored position belongs to: under another value of these it would mean something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make a connector that is not there."""

    name: str
    config: Mapping[str, str]
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Give a connector the declared configuration.

    Attributes:
        keys: what differs; the values may not be for everybody's eyes.
    """

    name: str
    config: Mapping[str, str]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Let it keep its tasks and do nothing."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Let it go on."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Take its tasks away, as declared."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Stop one of ours that is declared no more; configuration and position are kept."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartFailed:
    """Start what has failed of it anew.

    Attributes:
        tasks: which have failed; none where the connector itself has.
        reason: why, in one line.
    """

    name: str
    tasks: tuple[int, ...]
    reason: str


Action: TypeAlias = Create | Configure | Pause | Resume | Stop | Retire | RestartFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a person has to decide; nothing is done about it."""

    name: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, and what to tell.

    Attributes:
        waiting: names whose next try is not due yet.
    """

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    waiting: frozenset[str] = field(default_factory=frozenset)


def fingerprint(wanted: Wanted) -> str:
    """Return what changes when the declaration does: a new one is tried at once."""
    text = json.dumps([wanted.state, sorted(wanted.config.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_ours(observed: Observed, environment: str) -> bool:
    """Tell whether the connector carries this environment's owner key under its own name."""
    return observed.config.get(OWNER) == f"{environment}/{observed.name}"


def make_plan(
    wanted: Iterable[Wanted],
    observed: Mapping[str, Observed],
    *,
    environment: str,
    tries: Tries,
    now_s: float,
) -> Plan:
    """Return what to do with one group.

    Args:
        wanted: every connector declared for the group.
        observed: every connector the group has.
        environment: of the group's cluster; only its connectors are ever retired.
        tries: what was tried before.
        now_s: seconds, by the clock of ``tries``.
    """
    declared = {one.name: one for one in wanted}
    actions: list[Action] = []
    findings: list[Finding] = []
    waiting: set[str] = set()
    for name, one in sorted(declared.items()):
        seen = observed.get(name)
        finding = _finding(one, seen) if seen else None
        if finding is not None:
            findings.append(finding)
            continue
        for action in _actions(one, seen):
            if not _may_fail(action) or tries.is_due(name, fingerprint(one), now_s=now_s):
                actions.append(action)
            else:
                waiting.add(name)
                break
    for name, seen in sorted(observed.items()):
        if name not in declared and is_ours(seen, environment) and seen.state is not State.STOPPED:
            actions.append(Retire(name=name))
    return Plan(actions=tuple(actions), findings=tuple(findings), waiting=frozenset(waiting))


def _may_fail(action: Action) -> bool:
    """Tell whether the action is one that may fail for ever, and costs something each time."""
    return isinstance(action, Create | Configure | RestartFailed)


def _finding(wanted: Wanted, seen: Observed) -> Finding | None:
    if seen.config.get(OWNER) != wanted.ident:
        owner = seen.config.get(OWNER)
        whose = f"belongs to {owner}" if owner else "was not made by Penstock"
        return Finding(
            name=wanted.name,
            what=f"a connector of this name is there that {whose}. It is left as it is: delete it, "
            f"hand it over by setting {OWNER}={wanted.ident} in its configuration, or rename the "
            "declared one.",
        )
    moved = [key for key in _POSITION_KEYS if seen.config.get(key) != wanted.config.get(key)]
    if moved:
        was = ", ".join(f"{key} {seen.config.get(key, '')!r}" for key in moved)
        return Finding(
            name=wanted.name,
            what=f"it was made with {was}, and its stored position belongs to that. It is left as "
            f"it is: declare what it was, or remove it for good with `penstock connector delete "
            f"{wanted.name}` and it is made anew.",
        )
    return None


def _actions(wanted: Wanted, seen: Observed | None) -> Iterable[Action]:
    """Return what brings the connector from what is seen to what is wanted, in order."""
    if seen is None:
        yield Create(
            name=wanted.name, config=wanted.config, state=State(wanted.state.value.upper())
        )
        return
    switched = {SWITCH: seen.config[SWITCH]} if SWITCH in seen.config else {}
    config = {**wanted.config, **switched}
    if keys := _differing(config, seen.config):
        yield Configure(name=wanted.name, config=config, keys=keys)
    yield from _state_actions(_state(wanted, seen), seen, configured=bool(keys))


def _differing(wanted: Mapping[str, str], seen: Mapping[str, str]) -> tuple[str, ...]:
    keys = wanted.keys() | seen.keys()
    return tuple(sorted(key for key in keys if wanted.get(key) != seen.get(key)))


def _state(wanted: Wanted, seen: Observed) -> ConnectorState:
    """Return the state wanted: as declared, unless an operator paused or resumed it."""
    said = seen.config.get(SWITCH, "")
    if wanted.state is ConnectorState.STOPPED or said not in {"paused", "running"}:
        return wanted.state
    return ConnectorState(said)


def _state_actions(state: ConnectorState, seen: Observed, *, configured: bool) -> Iterable[Action]:
    match state:
        case ConnectorState.STOPPED:
            if seen.state is not State.STOPPED:
                yield Stop(name=seen.name)
        case ConnectorState.PAUSED:
            if seen.state in {State.RUNNING, State.STOPPED}:
                yield Pause(name=seen.name)
        case ConnectorState.RUNNING:
            if seen.state in {State.PAUSED, State.STOPPED}:
                yield Resume(name=seen.name)
            elif seen.failed and not configured:  # a new configuration starts it anyway
                tasks = tuple(task.number for task in seen.failed_tasks)
                yield RestartFailed(name=seen.name, tasks=tasks, reason=seen.reason)
