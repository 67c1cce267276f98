"""Child processes: what one is, how it starts, how it ends, how it is found again.

    Spec ─spawn─▶ child ─terminate─▶ SIGTERM … deadline … SIGKILL
                    └─ Identity(pid, started_at) ─▶ processes.json ─▶ end_stale, at the next start

A child leads a session of its own, so that Ctrl-C in the terminal reaches only the one who owns it
and ends it in order. What it says goes to ``<home>/logs/<name>.log``. Never a shell; never a signal
to a process that only has the pid of one of ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from penstock.runtime import files

__all__ = ["Identity", "Spec", "end_stale", "find", "recorded", "rotate", "spawn", "terminate"]

_LOG_LIMIT_BYTES = 10 * 2**20
_SAME_START_S = 2.0
"""Start times are told against the system's clock, which may have been set since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to run.

    Attributes:
        name: unique in its home; also the name of its log and of its hold.
        command: program and arguments.
        log: the file that takes its stdout and stderr.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells a process from a later one with the same pid.

    Attributes:
        started_at: seconds since 1970, as the system tells it.
    """

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a child, or of this process: both are sure to be there."""
        return cls(pid=pid, started_at=psutil.Process(pid).create_time())

    @classmethod
    def from_record(cls, record: object) -> Identity | None:
        """Return the identity in what `as_record` made; None for anything else."""
        match record:
            case {"pid": int(pid), "started_at": int() | float() as started_at}:
                return cls(pid=pid, started_at=started_at)
            case _:
                return None

    def as_record(self) -> dict[str, int | float]:
        """Return what is kept in a JSON file."""
        return {"pid": self.pid, "started_at": self.started_at}


def spawn(spec: Spec) -> subprocess.Popen[bytes]:
    """Start the process."""
    rotate(spec.log)
    with spec.log.open("ab") as log:
        return subprocess.Popen(
            list(spec.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(spec.environment),
            start_new_session=True,
        )


def rotate(log: Path) -> None:
    """Move a log past its size limit to ``<name>.1``, over the one that was there."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def terminate(
    children: Iterable[subprocess.Popen[bytes]],
    *,
    within_s: float,
    by: signal.Signals = signal.SIGTERM,
) -> None:
    """End the processes together: SIGTERM, then SIGKILL for those still there at the deadline.

    A frozen process is continued, or it would sleep through the SIGTERM.

    Args:
        children: of this process.
        within_s: after which SIGKILL follows.
        by: another signal that asks them to end, for programs that have one.
    """
    running = [child for child in children if child.poll() is None]
    for child in running:
        child.send_signal(by)
        child.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + within_s
    for child in running:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def find(identity: Identity) -> psutil.Process | None:
    """Return the process if it still runs and is that one, not a later one with its pid."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.started_at) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def recorded(home: Path) -> dict[str, Any]:
    """Return what the home's supervisor last wrote of its processes, by name."""
    records: dict[str, Any] = files.read_json(home / "processes.json", default={})
    return records


def end_stale(records: Iterable[object], *, within_s: float) -> list[int]:
    """End processes of an earlier run that outlived their owner; return their pids.

    Args:
        records: as `Identity.as_record` made them; others are passed over.
        within_s: after which SIGTERM becomes SIGKILL.
    """
    identities = (Identity.from_record(record) for record in records)
    stale = [p for identity in identities if identity and (p := find(identity)) is not None]
    for process in stale:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()
    _, stubborn = psutil.wait_procs(stale, timeout=within_s)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn)
    return [process.pid for process in stale]
