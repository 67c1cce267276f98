"""The life of one supervised process, step by step.

    waiting ─▶ starting ─▶ ready ─▶ (ends) ─▶ restarting ─▶ starting …
                   └────── ends ──────────────▲    └─ a hold lies ─▶ held ─▶ starting
                                                   once: ─▶ done

A crash is followed by a start after a pause that doubles with each crash in a row. A process that
ends under a hold did not crash. Nothing here waits: `step` looks, does at most one thing, returns.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from penstock.errors import PenstockError
from penstock.runtime import processes

__all__ = ["Service", "State", "Supervised", "pause_s"]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_FAILING_CRASHES = 4
"""So many crashes in a row, 3.5 s of pauses, are no stumble: a person should hear of it."""
_STEADY_S = 60.0
"""A process that ran this long starts a new row of crashes."""


class State(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    HELD = "held"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the supervisor keeps running.

    Attributes:
        name: unique in the home.
        spec: makes what to run, anew for each start; raises a PenstockError when it cannot.
        layer: it ends before every service of a lower one, which it may still need.
        ready: tells whether it serves; a PenstockError means not yet. May take seconds.
        once: whether it is to run to its end, once, instead of for ever.
        stop_within_s: after which SIGTERM becomes SIGKILL.
        stop_signal: what asks it to end in order, where that is not SIGTERM.
    """

    name: str
    spec: Callable[[], processes.Spec]
    layer: int
    ready: Callable[[], bool] = lambda: True
    once: bool = False
    stop_within_s: float = 5.0
    stop_signal: signal.Signals = signal.SIGTERM


def pause_s(crashes: int) -> float:
    """Return how long to wait before the start after this many crashes in a row."""
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(crashes - 1, 30)))


class Supervised:
    """A service's process, whichever it is at the moment."""

    def __init__(
        self,
        service: Service,
        *,
        clock: Callable[[], float],
        held: Callable[[], bool],
        checks: Executor,
    ) -> None:
        """Start nothing yet.

        Args:
            service: what to run.
            clock: monotonic seconds.
            held: tells whether a hold lies on it.
            checks: runs its ready checks, which may block.
        """
        self.service = service
        self.state = State.WAITING
        self.child: subprocess.Popen[bytes] | None = None
        self._clock = clock
        self._held = held
        self._checks = checks
        self._check: Future[bool] | None = None
        self._identity: processes.Identity | None = None
        self._started_at_s = 0.0
        self._start_at_s = 0.0
        self._crashes = 0
        self._restarts = 0
        self._reason = ""

    def step(self) -> None:
        """Look at the process and do what is due."""
        match self.state:
            case State.WAITING | State.HELD:
                self._start_unless_held()
            case State.STARTING | State.READY:
                self._watch()
            case State.RESTARTING:
                if self._clock() >= self._start_at_s:
                    self._start_unless_held()
            case State.DONE | State.STOPPED:
                pass

    def failing(self) -> str:
        """Return why it does not stay up, after several tries; an empty text while it may."""
        hopeless = self.state is State.RESTARTING and self._crashes >= _FAILING_CRASHES
        return self._reason if hopeless else ""

    def record(self) -> dict[str, Any]:
        """Return what ``processes.json`` says of it."""
        running = self._identity if self.state in (State.STARTING, State.READY) else None
        return {
            **(running.as_record() if running else {}),
            "state": self.state.value,
            "restarts": self._restarts,
            "reason": self._reason,
        }

    def _start_unless_held(self) -> None:
        if self._held():
            self.state = State.HELD
            return
        self._check = None
        self._started_at_s = self._clock()
        try:
            self.child = processes.spawn(self.service.spec())
        except (PenstockError, OSError) as error:
            self._crashed(str(error))
            return
        self._identity = processes.Identity.of(self.child.pid)
        self.state = State.STARTING

    def _watch(self) -> None:
        code = self.child.poll() if self.child is not None else None
        if code is not None:
            self._ended(code)
        elif self.state is State.STARTING:
            self._look_whether_ready()

    def _look_whether_ready(self) -> None:
        if self._check is None:
            self._check = self._checks.submit(self.service.ready)
        elif self._check.done():
            fault = self._check.exception()
            if fault is None and self._check.result():
                self.state = State.READY
                self._reason = ""
            elif fault is not None and not isinstance(fault, PenstockError):
                self._reason = f"its ready check failed: {fault!r}"
            self._check = None

    def _ended(self, code: int) -> None:
        if self.service.once:
            self.state = State.DONE
            self._reason = "" if code == 0 else _explain(code)
        elif self._held():
            self.state = State.HELD
            self._reason = ""
        else:
            self._crashed(_explain(code))

    def _crashed(self, reason: str) -> None:
        steady = self._clock() - self._started_at_s >= _STEADY_S
        self._crashes = 1 if steady else self._crashes + 1
        self._restarts += 1
        self._reason = reason
        self._start_at_s = self._clock() + pause_s(self._crashes)
        self.state = State.RESTARTING


def _explain(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
