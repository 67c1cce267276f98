"""A Connect group of values alone: does what a plan says, as Connect would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from penstock.connectors.observations import Observed, State, Task
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


def running(name: str, config: Mapping[str, str]) -> Observed:
    return Observed(
        name=name, config=config, state=State.RUNNING, tasks=(Task(number=0, state=State.RUNNING),)
    )


def in_state(seen: Observed, state: State) -> Observed:
    if state is State.STOPPED:
        return replace(seen, state=state, tasks=())
    if state is State.FAILED:
        return replace(seen, state=State.RUNNING, tasks=(Task(number=0, state=State.FAILED),))
    return replace(seen, state=state, tasks=(Task(number=0, state=state),))


def carried_out(plan: Plan, observed: Mapping[str, Observed]) -> dict[str, Observed]:
    group = dict(observed)
    for action in plan.actions:
        group[action.name] = _done(action, group.get(action.name))
    return group


def _done(action: Action, seen: Observed | None) -> Observed:
    if isinstance(action, Create):
        assert seen is None
        return in_state(running(action.name, action.config), action.state)
    assert seen is not None
    match action:
        case Configure():
            return replace(seen, config=action.config)
        case Pause():
            return in_state(seen, State.PAUSED)
        case Stop() | Retire():
            return in_state(seen, State.STOPPED)
        case Resume() | RestartFailed():
            return in_state(seen, State.RUNNING)
