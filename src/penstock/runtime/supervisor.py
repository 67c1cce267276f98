"""Keeps the processes of one home running, and ends them in order.

    Service … ─▶ Supervised … ─step, every 50 ms─▶ processes.json
                     ▲ dead child: restart with growing pauses
                     ▲ holds/<process>: left down

One thread looks after all processes, another small pool asks whether they are ready. A home has one
supervisor: a lock file that the kernel lets go with the process proves it. Whatever happens to a
child happens to that child only. Should the supervisor itself be killed, its children go on, and
the next one ends them by pid and start time before it starts its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from penstock.errors import Conflict
from penstock.runtime import files, holds, processes
from penstock.runtime.supervised import Service, State, Supervised

__all__ = ["Supervisor", "only_one", "running_supervisor"]

_log = logging.getLogger(__name__)

_STEP_S = 0.05
_STALE_WITHIN_S = 5.0
_DOWN_WITHIN_S = 60.0


class Supervisor:
    """Runs services until it is closed."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """End what an earlier supervisor of the home left, and start nothing yet."""
        self._home = home
        self._clock = clock
        self._supervised: dict[str, Supervised] = {}
        self._written: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._checks = ThreadPoolExecutor(thread_name_prefix="ready-check")
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        processes.end_stale(processes.recorded(home).values(), within_s=_STALE_WITHIN_S)

    def add(self, services: Iterable[Service]) -> None:
        """Look after these too, from now on."""
        with self._lock:
            if self._closing.is_set():
                return
            for service in services:
                self._supervised[service.name] = Supervised(
                    service,
                    clock=self._clock,
                    held=partial(holds.is_held, self._home, service.name),
                    checks=self._checks,
                )

    def start(self) -> None:
        """Begin to start processes."""
        self._thread.start()

    def restart(self, names: Collection[str]) -> None:
        """End these processes in order, and start them anew once all of them have ended."""
        with self._lock:
            asked = [self._supervised[name] for name in names]
        deadline = self._clock() + _DOWN_WITHIN_S
        # What ends under a hold did not crash.
        with holds.hold(self._home, names, for_s=_DOWN_WITHIN_S):
            processes.terminate(
                [one.child for one in asked if one.child is not None],
                within_s=max((one.service.stop_within_s for one in asked), default=0.0),
            )
            while any(one.state is not State.HELD for one in asked):
                if self._clock() > deadline or self._closing.wait(_STEP_S):
                    return

    def states(self) -> dict[str, State]:
        """Return the state of each process."""
        with self._lock:
            return {name: one.state for name, one in self._supervised.items()}

    def failing(self) -> dict[str, str]:
        """Return why they do not stay up, for the processes that did not in several tries."""
        with self._lock:
            found = {name: one.failing() for name, one in self._supervised.items()}
        return {name: reason for name, reason in found.items() if reason}

    def close(self) -> None:
        """End every process, from the highest layer to the lowest."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        layers = sorted({one.service.layer for one in self._supervised.values()}, reverse=True)
        for layer in layers:
            ending = [one for one in self._supervised.values() if one.service.layer == layer]
            for by in sorted({one.service.stop_signal for one in ending}, reverse=True):
                asked = [one for one in ending if one.service.stop_signal is by]
                processes.terminate(
                    [one.child for one in asked if one.child is not None],
                    within_s=max(one.service.stop_within_s for one in asked),
                    by=by,
                )
            for one in ending:
                one.state = State.STOPPED
            self._write()
        self._checks.shutdown(wait=False, cancel_futures=True)

    def step(self) -> None:
        """Look at every process once."""
        with self._lock:
            for name, one in self._supervised.items():
                try:
                    one.step()
                except Exception:  # noqa: BLE001 - one process's fault must not end the others' care
                    _log.exception("%s could not be looked after; it is tried again", name)
            self._write()

    def _run(self) -> None:
        while not self._closing.wait(_STEP_S):
            self.step()

    def _write(self) -> None:
        records = {name: one.record() for name, one in self._supervised.items()}
        if records != self._written:
            # A full disk must not stop the supervising: it is written at the next step.
            with suppress(OSError):
                files.write_json(self._home / "processes.json", records)
                self._written = records


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Be the home's only supervisor for the length of the block.

    Raises:
        Conflict: when the home has one.
    """
    with files.exclusive(home / "supervisor.lock", wait=False) as ours:
        if not ours:
            there = running_supervisor(home)
            who = f"pid {there.pid}" if there else "one that is just starting"
            raise Conflict(
                f"Penstock already runs in {home} ({who}). See `penstock status`, stop it with "
                "`penstock down`, or use another --home."
            )
        yield


def running_supervisor(home: Path) -> processes.Identity | None:
    """Return the home's supervisor, if it runs."""
    record = files.read_json(home / "supervisor.json", default={})
    identity = processes.Identity.from_record(record)
    return identity if identity and processes.find(identity) else None
