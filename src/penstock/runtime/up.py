"""`penstock up`, without its terminal: from nothing to a running platform, and back.

    Kafka fetched ─▶ one supervisor a home ─▶ files, ports ─▶ brokers and control
        ─▶ all ready ─▶ first estate ─▶ agent, ingest, AOT cache, what the estate asks for
        ─▶ settled ─▶ what the estate comes to ask for (`following`) … closed

Whoever calls owns the terminal and the signals, and closes. A first estate that is refused is
noted, and takes nothing down.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from penstock.errors import PenstockError
from penstock.runtime import artifacts, files, first_estate, kafka, platform, processes, registry
from penstock.runtime.following import Follower
from penstock.runtime.supervised import Service, State
from penstock.runtime.supervisor import Supervisor, only_one

__all__ = ["Session", "running"]

_READY_WITHIN_S = 300.0
_WORKERS_READY_WITHIN_S = 60.0
_POLL_S = 0.05


class Session:
    """A platform that is coming up or is up.

    Attributes:
        notes: what went wrong without ending it; for people.
    """

    def __init__(
        self,
        home: Path,
        wanted: platform.Platform,
        *,
        supervisor: Supervisor,
        distribution: kafka.Distribution,
    ) -> None:
        """Start nothing yet."""
        self.home = home
        self.notes: list[str] = []
        self._wanted = wanted
        self._supervisor = supervisor
        self._distribution = distribution
        self._closing = threading.Event()
        self._doing = ""
        self._settled = False
        self._follower = Follower(
            home, wanted, supervisor=supervisor, tell=self._tell, closing=self._closing
        )
        self._thread = threading.Thread(target=self._run, name="settle-and-follow", daemon=True)

    def start(self, *, brokers: int | None) -> None:
        """Start the processes; the rest follows in the background.

        Raises:
            PenstockError: when a cluster cannot be made as wanted, or a port is taken.
        """
        distribution = self._distribution
        clusters = platform.prepare(
            self._wanted, self.home, distribution=distribution, brokers=brokers
        )
        first = platform.first_services(self.home, clusters, distribution=distribution)
        self._supervisor.add(first)
        self._supervisor.start()
        self._thread.start()

    def add(self, services: Iterable[Service]) -> None:
        """Run these too, from now on."""
        self._supervisor.add(services)

    def close(self) -> None:
        """End every process in order."""
        self._closing.set()
        self._supervisor.close()

    def _run(self) -> None:
        self._settle()
        self._follower.run()

    def _tell(self, doing: str) -> None:
        if doing != self._doing and not self._closing.is_set():
            self._doing = doing
            self._announce()

    def _announce(self) -> None:
        _announce(self.home, settled=self._settled, notes=self.notes, doing=self._doing)

    def _settle(self) -> None:
        self._wait_ready(within_s=_READY_WITHIN_S)
        if self._closing.is_set():
            return
        self._apply()
        further = platform.further_services(
            self._wanted, self.home, distribution=self._distribution
        )
        self._supervisor.add(further)
        self._follower.look()
        self._wait_ready(within_s=_WORKERS_READY_WITHIN_S)
        self._settled = True
        self._announce()

    def _wait_ready(self, *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not self._closing.wait(_POLL_S):
            states = self._supervisor.states()
            waiting = [n for n, s in states.items() if s not in (State.READY, State.DONE)]
            failing = self._supervisor.failing()
            if all(name in failing for name in waiting):
                self.notes.extend(
                    f"{name} does not start and is tried again: {reason}; its log is "
                    f"{self.home / 'logs' / name}.log"
                    for name, reason in failing.items()
                )
                return
            if time.monotonic() > deadline:
                self.notes.append(f"not ready after {within_s:.0f} s: {', '.join(waiting)}")
                return

    def _apply(self) -> None:
        try:
            self.notes.extend(first_estate.apply(self._wanted, self.home).notes)
        except PenstockError as error:
            self.notes.append(f"the estate was not applied: {error.message}")


@contextmanager
def running(
    home: Path,
    wanted: platform.Platform,
    *,
    brokers: int | None = None,
    progress: artifacts.Progress | None = None,
) -> Iterator[Session]:
    """Run the platform for the length of the block.

    Args:
        home: the directory of all state.
        wanted: what to run.
        brokers: of each cluster; None for as many as it has, 1 for a new one.
        progress: told of bytes fetched, on a first start.

    Raises:
        Conflict: when the home has a supervisor.
        PenstockError: when Kafka cannot be fetched, or as `Session.start`.
    """
    home = home.absolute()
    with only_one(home):
        _announce(home, settled=False)
        if wanted.lake:
            files.write_json(home / "lake.json", {"root": wanted.lake})
        wanted = replace(wanted, registry=registry.choose(home, wanted.registry))
        distribution = kafka.install(progress)
        supervisor = Supervisor(home)
        session = Session(home, wanted, supervisor=supervisor, distribution=distribution)
        try:
            session.start(brokers=brokers)
            yield session
        finally:
            session.close()
            (home / "supervisor.json").unlink(missing_ok=True)


def _announce(home: Path, *, settled: bool, notes: Sequence[str] = (), doing: str = "") -> None:
    me = processes.Identity.of(os.getpid()).as_record()
    told = {**me, "settled": settled, "notes": list(notes), "doing": doing}
    files.write_json(home / "supervisor.json", told)
