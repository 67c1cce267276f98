"""What a Connect group says of its connectors, as values.

A worker's answer ─▶ Observed(config, state, tasks) ─▶ plan, statuses
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Observed", "State", "Task"]


class State(StrEnum):
    """What a connector or a task is doing, in Connect's own words."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    """A connector's only: it has no tasks, and its position is kept."""
    FAILED = "FAILED"
    UNASSIGNED = "UNASSIGNED"
    """No worker has it yet: a rebalance is under way."""
    RESTARTING = "RESTARTING"
    DESTROYED = "DESTROYED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of a connector.

    Attributes:
        worker: ``host:port`` of the worker that has it.
        trace: why it failed, a Java stack trace; empty unless it did.
    """

    number: int
    state: State
    worker: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One connector as its group has it.

    Attributes:
        config: complete, with references where secrets stand.
        trace: why the connector itself failed; empty unless it did.
    """

    name: str
    config: Mapping[str, str]
    state: State
    worker: str = ""
    trace: str = ""
    tasks: tuple[Task, ...] = ()

    @property
    def failed_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that have failed."""
        return tuple(task for task in self.tasks if task.state is State.FAILED)

    @property
    def failed(self) -> bool:
        """Tell whether the connector, or any task of it, has failed."""
        return self.state is State.FAILED or bool(self.failed_tasks)

    @property
    def healthy(self) -> bool:
        """Tell whether it runs with every task it has, of which there is at least one."""
        return (
            self.state is State.RUNNING
            and bool(self.tasks)
            and all(task.state is State.RUNNING for task in self.tasks)
        )

    @property
    def reason(self) -> str:
        """Return why it failed, in one line: the deepest cause a stack trace names."""
        traces = [self.trace, *(task.trace for task in self.failed_tasks)]
        return next((_cause(trace) for trace in traces if trace), "")


def _cause(trace: str) -> str:
    lines = trace.splitlines()
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else lines[0]).strip()
