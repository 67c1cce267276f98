"""`penstock up` in the background.

    start ─▶ python -m penstock up --quiet … ─▶ supervisor.json says settled ─▶ return
                └─ ended before that ─▶ what it said, as this process's own error

The one who starts may go: what it started has a session of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import NotReady
from penstock.runtime import files, processes
from penstock.runtime.supervisor import running_supervisor

__all__ = ["start"]

_UP_WITHIN_S = 420.0
_POLL_S = 0.05


def start(home: Path, options: Sequence[str]) -> None:
    """Start a platform in the background, and return when it is up; at once where it is.

    Args:
        home: the directory of all state.
        options: of ``penstock up``, without its ``--home``.

    Raises:
        NotReady: when it ends before it is up, with what it said and its exit code.
    """
    home = home.absolute()
    log = home / "logs" / "supervisor.log"
    command = [sys.executable, "-m", "penstock", "up", "--quiet", "--home", str(home), *options]
    log.parent.mkdir(parents=True, exist_ok=True)
    processes.rotate(log)
    said_before = log.stat().st_size if log.exists() else 0
    child = (
        None
        if running_supervisor(home)
        else processes.spawn(processes.Spec(name="supervisor", command=command, log=log))
    )
    deadline = time.monotonic() + _UP_WITHIN_S
    while not _is_settled(home):
        ended = child is None or child.poll() is not None
        if ended and running_supervisor(home) is None:
            said = log.read_bytes()[said_before:].decode(errors="replace")
            error = NotReady(" ".join(said.split()) or f"It ended; its log is {log}.")
            error.exit_code = child.returncode if child is not None else NotReady.exit_code
            raise error
        if time.monotonic() > deadline:
            raise NotReady(
                f"It was not up after {_UP_WITHIN_S:.0f} s, and goes on trying. See `penstock "
                f"status`, and the log {log}."
            )
        time.sleep(_POLL_S)


def _is_settled(home: Path) -> bool:
    session = files.read_json(home / "supervisor.json", default={})
    return bool(session.get("settled")) and running_supervisor(home) is not None
