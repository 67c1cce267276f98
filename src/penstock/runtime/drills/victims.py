"""How a cluster is lost in a drill, and brought back.

    Victim.strike ─▶ SIGKILL or SIGSTOP to every broker      Victim.restore ─▶ they run again

Whatever happens to the drill, even SIGKILL, the cluster comes back: see each victim. `restore` may
be called at any time, and twice.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from penstock.errors import ConfigError, NotReady
from penstock.runtime import files, holds, processes
from penstock.runtime.drills import thaw
from penstock.runtime.supervisor import running_supervisor

__all__ = ["CalledVictim", "FrozenVictim", "KilledVictim", "Victim"]

_HELD_FOR_S = 300.0


class Victim(Protocol):
    """A cluster that can be lost."""

    @property
    def cluster(self) -> str:
        """Return the cluster's name."""

    def strike(self) -> None:
        """Lose it, at once."""

    def restore(self) -> None:
        """Bring it back; it may take a moment after this until it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledVictim:
    """A cluster that somebody else runs: tests and benchmarks give the two actions."""

    cluster: str
    strike: Callable[[], None]
    restore: Callable[[], None]


class KilledVictim:
    """A cluster of a running platform that is lost by SIGKILL.

    A hold keeps the supervisor from starting it at once; the hold names this process and an end,
    so the supervisor brings the cluster back even when the drill is killed.
    """

    def __init__(self, home: Path, cluster: str) -> None:
        """Find its brokers.

        Raises:
            NotReady: when the platform does not run, or a broker of the cluster does not.
            ConfigError: when the platform has no such cluster.
        """
        self.cluster = cluster
        self._home = home
        self._brokers = _brokers(home, cluster)
        self._held = ExitStack()

    def strike(self) -> None:
        """Hold every broker down, then kill each."""
        self._held.enter_context(holds.hold(self._home, self._brokers, for_s=_HELD_FOR_S))
        _signal(self._brokers.values(), signal.SIGKILL)

    def restore(self) -> None:
        """End the hold, upon which the supervisor starts the brokers."""
        self._held.close()


class FrozenVictim:
    """A cluster of a running platform that hangs: its connections stay open, nothing is answered.

    A guard process continues it even when the drill is killed.
    """

    def __init__(self, home: Path, cluster: str) -> None:
        """Find its brokers.

        Raises:
            NotReady: when the platform does not run, or a broker of the cluster does not.
            ConfigError: when the platform has no such cluster.
        """
        self.cluster = cluster
        self._brokers = _brokers(home, cluster)
        self._guard: subprocess.Popen[bytes] | None = None

    def strike(self) -> None:
        """Start the guard, then freeze each broker."""
        self._guard = subprocess.Popen(
            [sys.executable, thaw.__file__, *(str(one.pid) for one in self._brokers.values())],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        _signal(self._brokers.values(), signal.SIGSTOP)

    def restore(self) -> None:
        """Continue each broker."""
        _signal(self._brokers.values(), signal.SIGCONT)
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None


def _signal(brokers: Iterable[processes.Identity], number: signal.Signals) -> None:
    for identity in brokers:
        process = processes.find(identity)
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _brokers(home: Path, cluster: str) -> dict[str, processes.Identity]:
    if running_supervisor(home) is None:
        raise NotReady(f"no platform runs in {home}. Start one in another terminal: penstock up.")
    clusters = files.read_json(home / "clusters.json", default={})
    if cluster not in clusters:
        raise ConfigError(
            f"cluster {cluster!r} is not one that this platform runs; it runs "
            f"{', '.join(sorted(clusters))}. A drill kills only those."
        )
    records = files.read_json(home / "processes.json", default={})
    count = len(clusters[cluster]["bootstrap"]["plaintext"].split(","))
    brokers = {}
    for name in (f"{cluster}-{number}" for number in range(1, count + 1)):
        identity = processes.Identity.from_record(records.get(name))
        if identity is None or processes.find(identity) is None:
            raise NotReady(f"broker {name} does not run. Wait until it does: penstock status.")
        brokers[name] = identity
    return brokers
