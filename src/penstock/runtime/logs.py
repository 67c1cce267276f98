"""The processes' logs: one file each, below ``<home>/logs``.

    find ─▶ last_lines ─▶ follow, across rotations

Reads only.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from penstock.errors import ConfigError

__all__ = ["find", "follow", "last_lines"]

_POLL_S = 0.2


def find(home: Path, process: str | None) -> dict[str, Path]:
    """Return the log of a process, or all, by name.

    Raises:
        ConfigError: when there is no such log.
    """
    found = {path.stem: path for path in sorted((home / "logs").glob("*.log"))}
    if process is None:
        return found
    if process not in found:
        known = ", ".join(found) or "none yet"
        raise ConfigError(f"There is no log of {process!r} in {home}; there are: {known}.")
    return {process: found[process]}


def last_lines(logs: Mapping[str, Path], *, lines: int) -> Iterator[tuple[str, str]]:
    """Yield the last lines of each log, with its name."""
    for name, path in logs.items():
        with _open(path) as log:
            for line in deque(log, maxlen=lines):
                yield name, line.rstrip("\n")


def follow(
    logs: Mapping[str, Path], *, pause: Callable[[], None] = lambda: time.sleep(_POLL_S)
) -> Iterator[tuple[str, str]]:
    """Yield lines as they are written, from now on, without end.

    Args:
        logs: from `find`.
        pause: waits between two looks.
    """
    with ExitStack() as closing:
        files = {name: closing.enter_context(_open(path)) for name, path in logs.items()}
        for file in files.values():
            file.seek(0, os.SEEK_END)
        while True:
            for name, path in logs.items():
                for line in files[name]:
                    yield name, line.rstrip("\n")
                if _was_rotated(files[name], path):
                    files[name].close()
                    files[name] = closing.enter_context(_open(path))
            pause()


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors="replace")


def _was_rotated(file: TextIO, path: Path) -> bool:
    return path.exists() and not os.path.samestat(path.stat(), os.fstat(file.fileno()))
