"""What an ingest process tells about itself: ``<home>/ingest/status.json``, once a second.

Progress of each table ─▶ rates over the last seconds ─▶ one file, replaced as a whole
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.ingest.progress import Progress

__all__ = ["Statuses", "read", "write_atomically"]

_WINDOW_SAMPLES = 10


class Statuses:
    """Turns progress into the status file's content; rates are over the last ten calls."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; ``clock`` gives seconds."""
        self._clock = clock
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def render(self, tables: Mapping[str, Progress]) -> dict[str, Any]:
        """Return the status of each table, by its ident."""
        self._samples = {
            ident: self._samples.get(ident, deque(maxlen=_WINDOW_SAMPLES)) for ident in tables
        }
        return {ident: self._status(ident, progress) for ident, progress in tables.items()}

    def _status(self, ident: str, progress: Progress) -> dict[str, Any]:
        samples = self._samples[ident]
        samples.append((self._clock(), progress.landed))
        (first_at, first), (last_at, last) = samples[0], samples[-1]
        seconds = last_at - first_at
        return {
            "rows": progress.rows,
            "rows_per_s": round((last - first) / seconds, 1) if seconds else 0.0,
            "lag_records": progress.lag_records,
            "committed_at": progress.committed_at.isoformat() if progress.committed_at else "",
            "state": progress.state.value,
            "error": progress.error,
        }


def read(state: Path) -> dict[str, Any]:
    """Return the status of each table that the process last wrote; nothing where none ran."""
    try:
        status: dict[str, Any] = json.loads((state / "status.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return status


def write_atomically(path: Path, text: str) -> None:
    """Replace the file in one step; a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
