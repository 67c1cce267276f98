"""The process that manages connectors: a group a cluster, round after round.

    control plane ─declared─▶ groups, side by side ─▶ status.json, /health, /metrics
    SIGTERM, SIGINT ─▶ the round that runs ends ─▶ exit; the connectors go on

Connect's workers run the connectors; this process only sees to it that they are the right ones. It
may be down at any time and several may run: each change is idempotent, and decided by what is seen.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from penstock.connectors import endpoint, groups, statuses
from penstock.connectors.declared import Declared, Source
from penstock.connectors.group import Group
from penstock.connectors.rest import Connect
from penstock.connectors.settings import Settings
from penstock.connectors.statuses import Condition, Status, write_atomically
from penstock.ending import told_to_end
from penstock.sdk.control import find_control

__all__ = ["Managing", "run"]

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Manage connectors until SIGTERM or SIGINT.

    Raises:
        ConfigError: when the address to listen on is wrong.
        NotReady: when its port is taken.
    """
    stopping = told_to_end()
    place = find_control(settings.control or None, home=settings.home)
    managing = Managing(settings, declared=Source(settings, find=place.find))
    with ExitStack() as stack:
        stack.callback(managing.close)
        if settings.listen:
            address = stack.enter_context(endpoint.serve(settings.listen, managing.statuses))
            write_atomically(settings.state / "listen.json", json.dumps({"http": address}) + "\n")
        while not stopping.is_set():
            managing.round()
            stopping.wait(settings.every_s)


class Managing:
    """Every group, and what is told of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        declared: Callable[[], Declared | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do nothing yet.

        Args:
            settings: of this process.
            declared: gives what is declared now; None for not known.
            clock: monotonic seconds.
        """
        self._settings = settings
        self._declared = declared
        self._clock = clock
        self._groups: dict[tuple[str, tuple[str, ...]], Group] = {}
        self._coming: dict[str, str] = {}
        self._statuses: tuple[Status, ...] = ()

    def statuses(self) -> tuple[Status, ...]:
        """Return how each connector was in the latest round; any thread may ask."""
        return self._statuses

    def round(self) -> None:
        """Look at every group once, and put right what can be."""
        declared = self._declared()
        if declared is not None:
            self._statuses = tuple(map(self._waiting, self._reconcile(declared)))
        told = statuses.render(self._statuses, now_ms=time.time_ns() // 1_000_000)
        write_atomically(self._settings.state / "status.json", json.dumps(told, indent=2) + "\n")

    def close(self) -> None:
        """Close the connections; the connectors go on."""
        for group in self._groups.values():
            group.close()

    def _reconcile(self, declared: Declared) -> tuple[Status, ...]:
        self._follow(declared)
        if not self._groups:
            return _without_group(declared, set())
        with ThreadPoolExecutor(len(self._groups), thread_name_prefix="connect-group") as threads:
            rounds = threads.map(
                lambda group: group.reconcile(declared.of(group.cluster)), self._groups.values()
            )
            told = [status for found in rounds for status in found]
        return (*told, *_without_group(declared, {g.cluster for g in self._groups.values()}))

    def _follow(self, declared: Declared) -> None:
        """Have a group for each cluster that is known and has one, at the addresses of now."""
        found = groups.find(self._settings)
        wanted = {(name, found[name]) for name in found if name in declared.clusters}
        before, self._coming = self._coming, groups.coming(self._settings)
        # What failed for want of what has come is tried anew at once.
        arrived = before.keys() - self._coming.keys()
        for key in {k for k in self._groups if k not in wanted or k[0] in arrived}:
            self._groups.pop(key).close()
        for key in sorted(wanted - self._groups.keys()):
            name, addresses = key
            _log.info("managing the Connect group of cluster %s", name)
            self._groups[key] = Group(
                name,
                environment=declared.clusters[name].environment,
                connect=Connect(name, addresses),
                bootstrap=declared.bootstrap(name),
                settings=self._settings,
                clock=self._clock,
            )

    def _waiting(self, status: Status) -> Status:
        """Return the status with what its group waits for, where it does."""
        what = self._coming.get(status.cluster)
        if what is None or status.condition not in {Condition.UNKNOWN, Condition.ABSENT}:
            return status
        return replace(status, condition=Condition.ABSENT, error=f"it waits: {what}")


def _without_group(declared: Declared, known: set[str]) -> tuple[Status, ...]:
    """Return the statuses of connectors whose cluster has no group that is known."""
    return tuple(
        Status(
            ident=one.ident,
            name=one.name,
            cluster=one.cluster,
            wanted=one.state.value,
            condition=Condition.UNKNOWN,
            error=f"no Connect group of cluster {one.cluster} is known. Start one, or name it: "
            f"penstock connect --group {one.cluster}=http://HOST:PORT.",
        )
        for one in declared.connectors.values()
        if one.cluster not in known
    )
