"""Who a process is, so that another one can tell whether it still lives.

this process ─me─▶ Owner ─▶ leases, announcements        Owner ─is_gone─▶ certainly dead, or not known
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Owner", "is_gone", "me"]

_START_FIELD = 19  # of /proc/<pid>/stat behind the command's name: since boot, in ticks


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Owner:
    """A process.

    Attributes:
        name: unique in the world, and for people to read.
        machine: where its pid means something: this boot of a host, and the pid namespace.
        started: tells it apart from a later process of the same pid.
    """

    name: str
    machine: str
    pid: int
    started: int


def me() -> Owner:
    """Return a new name for this process, with where to find it."""
    host = socket.gethostname().partition(".")[0] or "host"
    return Owner(
        name=f"{host}-{os.getpid()}-{secrets.token_hex(3)}",
        machine=_machine(),
        pid=os.getpid(),
        started=_started(os.getpid()),
    )


def is_gone(owner: Owner) -> bool:
    """Tell whether the process is certainly dead; False where only time can tell."""
    if not owner.machine or owner.machine != _machine():
        return False
    return _started(owner.pid) != owner.started


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> int:
    """Return when the process started; 0 when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {"Z", "X"} else int(fields[_START_FIELD])
