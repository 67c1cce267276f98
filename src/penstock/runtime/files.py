"""Small files that survive a kill at any moment and several writers at once.

    value ─▶ <name>.<pid>.part ─rename─▶ <name>

A reader sees the old content or the new one, never half of either.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["exclusive", "read_json", "write_atomically", "write_json"]


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace the file's content in one step; makes its directory where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    # A secret is never readable, not even while it is being written.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replace the file's content by the value as JSON."""
    write_atomically(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path, *, default: Any) -> Any:
    """Return what the file holds, or the default where it holds no JSON of the default's type.

    A file that a person broke counts as absent: everything kept this way can be made anew.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return default
    return found if isinstance(found, type(default)) else default


@contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file for the length of the block; the kernel lets go when a holder dies.

    Args:
        path: the lock file; it stays behind, empty.
        wait: whether to wait for another holder, else give False at once.

    Yields:
        Whether the lock is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
