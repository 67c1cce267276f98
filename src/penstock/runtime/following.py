"""What `up` starts while it runs, because the estate has come to ask for it.

    control plane ─tables, connectors, every 2 s─▶ look ─┬─▶ ingest
                                                         ├─▶ the process that manages connectors
                                                         └─▶ Connect and its plug-ins, fetched ─▶ workers
    --registry ─▶ the schema registry, fetched ─▶ its process

What is still to come is told all the while: to `penstock status`, and in ``connect/coming.json`` to
whoever asks why a connector does not run. A line that fails is tried again. Ends no process that
the estate asks for no more: a connector that is declared no more is to be stopped by its workers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.api import connector_wire
from penstock.api.client import connect_home
from penstock.errors import NotReady, PenstockError
from penstock.model.connectors import Kind
from penstock.runtime import artifacts, files, platform
from penstock.runtime.supervised import State, pause_s
from penstock.runtime.supervisor import Supervisor

__all__ = ["Follower"]

_EVERY_S = 2.0
_REGISTRY = "the schema registry"


class Follower:
    """Starts what is asked for and does not run yet; for one thread."""

    def __init__(
        self,
        home: Path,
        wanted: platform.Platform,
        *,
        supervisor: Supervisor,
        tell: Callable[[str], None],
        closing: threading.Event,
    ) -> None:
        """Start nothing yet.

        Args:
            home: the directory of all state.
            wanted: what `up` was asked to run.
            supervisor: runs it.
            tell: told what is being done or has failed, for people; an empty text for nothing.
            closing: set when the platform is to end.
        """
        self._home = home
        self._wanted = wanted
        self._supervisor = supervisor
        self._tell = tell
        self._closing = closing
        self._kinds: dict[str, frozenset[Kind]] = {}
        self._workers: dict[str, list[str]] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._troubles: dict[str, str] = {}
        self._coming: dict[str, str] = {}
        self._note_coming()

    def run(self) -> None:
        """Look again and again, until the platform is to end."""
        while not self._closing.wait(_EVERY_S):
            self.look()

    def look(self) -> None:
        """Start what is to be started now; what fails is told, and tried again later."""
        if self._wanted.registry:
            self._once("registry", self._start_registry)
        asked = self._ask()
        if asked.tables:
            self._once("ingest", lambda: self._supervisor.add([platform.ingest(self._home)]))
        if asked.connectors:
            self._once("connect", lambda: self._supervisor.add([platform.manager(self._home)]))
        for cluster, kinds in asked.connectors.items():
            self._have_group(cluster, kinds)
        self._forget_those_ready()

    def _ask(self) -> platform.Asked:
        try:
            with connect_home(self._home) as control:
                return platform.Asked(
                    tables=bool(control.tables()),
                    connectors=platform.kinds(
                        map(connector_wire.decode_connector, control.connectors()),
                        among=self._wanted.clusters,
                    ),
                )
        except PenstockError:
            return platform.Asked()  # it is asked again

    def _once(self, process: str, start: Callable[[], None]) -> None:
        if process not in self._supervisor.states():
            self._try(process, start)

    def _start_registry(self) -> None:
        with self._doing(_REGISTRY) as progress:
            self._supervisor.add([platform.registry_service(self._home, progress=progress)])

    def _have_group(self, cluster: str, kinds: frozenset[Kind]) -> None:
        """Have workers beside the cluster with the plug-ins of these kinds, and of those before."""
        before = self._kinds.get(cluster)
        if before is None or kinds - before:
            self._try(cluster, lambda: self._start_group(cluster, kinds | (before or frozenset())))

    def _start_group(self, cluster: str, kinds: frozenset[Kind]) -> None:
        with self._doing(f"Connect's plug-ins for cluster {cluster}", cluster=cluster) as progress:
            services = platform.workers(self._home, cluster, kinds, progress=progress)
        self._coming[cluster] = f"the Connect workers of cluster {cluster} are starting"
        self._note_coming()
        self._workers[cluster] = [one.name for one in services]
        running = self._supervisor.states().keys()
        self._supervisor.add(one for one in services if one.name not in running)
        # A worker finds its plug-ins when it starts.
        self._supervisor.restart([one.name for one in services if one.name in running])
        self._kinds[cluster] = kinds

    def _forget_those_ready(self) -> None:
        """Take back what was told to be coming of the groups that are there."""
        states = self._supervisor.states()
        for cluster in self._coming.keys() - self._failures.keys():
            if all(states.get(name) is State.READY for name in self._workers[cluster]):
                del self._coming[cluster]
                self._note_coming()

    def _try(self, what: str, start: Callable[[], None]) -> None:
        failures, again_at = self._failures.get(what, (0, 0.0))
        if time.monotonic() < again_at:
            return
        try:
            start()
        except (PenstockError, OSError) as error:
            pause = pause_s(failures + 1)
            self._failures[what] = failures + 1, time.monotonic() + pause
            reason = error.message if isinstance(error, PenstockError) else str(error)
            self._troubles[what] = f"{reason} It is tried again every {pause:g} s."
            if what in self._coming:
                self._coming[what] = self._troubles[what]
        else:
            self._failures.pop(what, None)
            self._troubles.pop(what, None)
        self._note_coming()
        self._tell("; ".join(self._troubles.values()))

    @contextmanager
    def _doing(self, what: str, *, cluster: str = "") -> Iterator[artifacts.Progress]:
        """Tell that this is fetched, and how far it is; for a cluster also to its connectors."""

        def say(text: str) -> None:
            self._tell(text)
            if cluster:
                self._coming[cluster] = text
                self._note_coming()

        told = -1

        def progress(there: int, total: int) -> None:
            nonlocal told
            if self._closing.is_set():  # whoever stops the platform does not wait for a line
                raise NotReady("Penstock is being stopped; what has arrived is kept.")
            if there // 10**6 > told:  # it is told many times a second
                told = there // 10**6
                say(f"{what}: {told} of {total / 1e6:.0f} MB are fetched")

        say(f"{what}: being installed")
        yield progress

    def _note_coming(self) -> None:
        path = self._home / "connect" / "coming.json"
        if self._coming or path.exists():
            files.write_json(path, self._coming)
