"""Carries a plan out on a Connect group, one action after the other.

    Plan ─▶ one request an action ─▶ Outcome(action, error)

An action that fails is told, and the others still go on; each may be repeated. A group that does
not answer at all ends the round. Never deletes: `deleting` does, when a person says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from penstock.connectors.plan import (
    Action,
    Configure,
    Create,
    Pause,
    Plan,
    RestartFailed,
    Resume,
    Retire,
    Stop,
)
from penstock.connectors.rest import Connect
from penstock.errors import NotReady, PenstockError

__all__ = ["Outcome", "apply", "explain"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an action.

    Attributes:
        error: why it failed; empty when it was done.
    """

    action: Action
    error: str = ""


def apply(plan: Plan, connect: Connect) -> tuple[Outcome, ...]:
    """Do every action of the plan, in order.

    Raises:
        NotReady: when the group does not answer; what was done stays done.
    """
    return tuple(_outcomes(plan, connect))


def _outcomes(plan: Plan, connect: Connect) -> Iterable[Outcome]:
    broken: set[str] = set()
    for action in plan.actions:
        if action.name in broken:
            continue
        try:
            _do(action, connect)
        except NotReady:
            raise
        except PenstockError as error:
            broken.add(action.name)
            _log.warning("%s: %s failed: %s", action.name, explain(action), error.message)
            yield Outcome(action=action, error=error.message)
        else:
            _log.info("%s: %s", action.name, explain(action))
            yield Outcome(action=action)


def _do(action: Action, connect: Connect) -> None:
    match action:
        case Create(name=name, config=config, state=state):
            connect.create(name, config, state=state)
        case Configure(name=name, config=config):
            connect.configure(name, config)
        case Pause(name=name):
            connect.pause(name)
        case Resume(name=name):
            connect.resume(name)
        case Stop(name=name) | Retire(name=name):
            connect.stop(name)
        case RestartFailed(name=name):
            connect.restart_failed(name)
        case _:
            assert_never(action)


def explain(action: Action) -> str:
    """Return the action in words, without any value of a configuration."""
    match action:
        case Create(state=state):
            said = f"create, {state.value.lower()}"
        case Configure(keys=keys):
            said = f"configure {', '.join(keys)}"
        case Pause() | Resume():
            said = type(action).__name__.lower()
        case Stop():
            said = "stop, as declared"
        case Retire():
            said = "stop: declared no more; configuration and position are kept"
        case RestartFailed(tasks=tasks, reason=reason):
            what = f"task {', '.join(map(str, tasks))}" if tasks else "the connector"
            said = f"restart {what}: {reason}"
        case _:
            assert_never(action)
    return said
