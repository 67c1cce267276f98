"""Ends what runs in a home, and removes what a home holds.

stop ─▶ SIGTERM to the supervisor ─▶ it ends its children ─▶ gone
remove ─▶ stop ─▶ the files that Penstock made, and no others
"""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from penstock.errors import NotReady
from penstock.runtime import postgres, processes
from penstock.runtime.supervisor import running_supervisor

__all__ = ["remove", "stop"]

_STOP_WITHIN_S = 60.0
_STALE_WITHIN_S = 5.0

_MADE_HERE = (
    "clients",
    "clusters",
    "clusters.json",
    "clusters.lock",
    "connect",
    "connect.json",
    "connect.lock",
    "control",
    "control.json",
    "holds",
    "ingest",
    "lake",
    "lake.json",
    "logs",
    "ports.json",
    "ports.lock",
    "postgres",
    "processes.json",
    "registry",
    "registry.json",
    "spark",
    "supervisor.json",
    "supervisor.lock",
)


def stop(home: Path) -> bool:
    """End the home's supervisor and what it runs; tell whether anything ran.

    Children of a supervisor that was killed are ended too.

    Raises:
        NotReady: when it does not end.
    """
    supervisor = running_supervisor(home)
    if supervisor is not None and (process := processes.find(supervisor)) is not None:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_WITHIN_S)
        if processes.find(supervisor) is not None:
            raise NotReady(
                f"Penstock in {home} (pid {supervisor.pid}) did not end within "
                f"{_STOP_WITHIN_S:.0f} s. Kill it, then run `penstock down` again."
            )
    stale = processes.end_stale(processes.recorded(home).values(), within_s=_STALE_WITHIN_S)
    return supervisor is not None or bool(stale)


def remove(home: Path) -> list[str]:
    """Stop, then delete what Penstock made in the home; return the names of what it did not make.

    Raises:
        NotReady: as `stop`.
    """
    stop(home)
    _remove_stories(home / "demo")
    for kept in (home / "postgres").glob("*"):
        postgres.remove(home, kept.name)
    for name in _MADE_HERE:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = sorted(path.name for path in home.iterdir()) if home.is_dir() else []
    if not left:
        with suppress(FileNotFoundError):
            home.rmdir()
    return left


def _remove_stories(demo: Path) -> None:
    """Remove the homes of demonstrations, all of which Penstock made."""
    for own in demo.glob("*"):
        remove(own)
        shutil.rmtree(own, ignore_errors=True)
    with suppress(OSError):
        demo.rmdir()
