"""Holds: while one lies there, the supervisor leaves a process down.

    drill ─hold─▶ <home>/holds/<process> {"pid", "until"} ◀─is_held─ supervisor

A hold ends with its file, with the process that laid it, and with its time, whichever is first: so
a drill that dies never leaves a cluster down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from penstock.runtime import files

__all__ = ["hold", "is_held"]


@contextmanager
def hold(home: Path, processes: Iterable[str], *, for_s: float) -> Iterator[None]:
    """Keep processes of the home down, once they end, for the length of the block.

    Args:
        home: the home whose supervisor is told.
        processes: their names, as in ``processes.json``; a broker's is ``<cluster>-<number>``.
        for_s: how long at most.
    """
    laid = [home / "holds" / name for name in processes]
    for path in laid:
        files.write_json(path, {"pid": os.getpid(), "until": time.time() + for_s})
    try:
        yield
    finally:
        for path in laid:
            path.unlink(missing_ok=True)


def is_held(home: Path, process: str) -> bool:
    """Tell whether the process is to be left down."""
    laid = files.read_json(home / "holds" / process, default={})
    match laid:
        case {"pid": int(pid), "until": int() | float() as until}:
            return until > time.time() and psutil.pid_exists(pid)
        case _:
            return False
