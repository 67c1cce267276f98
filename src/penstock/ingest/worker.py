"""Runs one table: attempt after attempt, each from what the table's own log says.

Attempt.run ─▶ Progress, Progress, … ─ anything failed: wait, begin anew ─▶ Attempt.run

Guarantee: nothing that was read is taken for landed before the table's own log says so; after any
failure the next try begins from what the log says. A failure that waiting cannot mend (a refusal, a
wrong declaration, too much poison) stops the table and says so; other tables go on. One that waits for
a person's decision is stopped, too, and looks for the decision.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from penstock.errors import Conflict, NotReady, PenstockError, RemoteError
from penstock.ingest.attempts import Attempt
from penstock.ingest.engines.opening import Spark
from penstock.ingest.giving_up import Blocked
from penstock.ingest.progress import Progress, State
from penstock.ingest.settings import Limits
from penstock.model import tables
from penstock.model.metadata import Snapshot

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 0.5


class Worker:
    """One table's thread.

    Attributes:
        table: the declaration it runs by.
        progress: replaced as a whole, so any thread may read it.
    """

    def __init__(
        self,
        table: tables.Table,
        *,
        lake: Path | str,
        limits: Limits,
        snapshot: Callable[[], Snapshot],
        spark: Spark | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            table: the declaration.
            lake: what the table's path is below.
            limits: what it may hold, and when it stops.
            snapshot: gives the newest metadata; called often.
            spark: gives where Spark runs; None where no table may.
        """
        self.table = table
        self.progress = Progress()
        self._lake = lake
        self._limits = limits
        self._snapshot = snapshot
        self._spark = spark
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ingest-{table.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end after the commit it is in; `join` waits for that."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; tell whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            committed_at = self.progress.committed_at
            try:
                self._ingest()
            except (NotReady, Conflict, RemoteError) as error:
                failures = 1 if self.progress.committed_at != committed_at else failures + 1
                decided = State.STOPPED if isinstance(error, Blocked) else State.WAITING
                self._report(decided, error)
                self._stopping.wait(self._backoff_s(failures))
            except PenstockError as error:
                self._report(State.STOPPED, error)
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours stops one table, not all
                _log.exception("table %s", self.table.ident)
                self._report(State.STOPPED, RemoteError(f"unexpected {error!r}; report this"))
                return

    def _backoff_s(self, failures: int) -> float:
        longest = min(self._limits.backoff_s, _FIRST_BACKOFF_S * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret

    def _report(self, state: State, error: PenstockError) -> None:
        _log.warning("table %s is %s: %s", self.table.ident, state, error.message)
        self.progress = replace(self.progress, state=state, error=error.message)

    def _ingest(self) -> None:
        """Run until asked to stop or until the metadata changes what to read."""
        attempt = Attempt(
            self.table,
            lake=self._lake,
            limits=self._limits,
            snapshot=self._snapshot,
            spark=self._spark,
            stopping=self._stopping,
        )
        for progress in attempt.run(self.progress):
            self.progress = progress
