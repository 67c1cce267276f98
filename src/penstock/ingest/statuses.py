"""What the ingest processes of a home tell: ``<home>/ingest/status.json``, once a second.

Progress of each table ─▶ rates, latencies ─▶ processes/<owner>.json ─┐
                          other processes of this home that live ─────┴─▶ status.json, as a whole
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penstock.ingest.owners import Owner, is_gone
from penstock.ingest.progress import Batch, Progress, percentile
from penstock.model import tables

__all__ = ["Statuses", "read", "write_atomically"]

_WINDOW_SAMPLES = 10
_TOLD_BATCHES = 10


class Statuses:
    """Turns progress into the status file's content; rates are over the last ten calls."""

    def __init__(self, owner: Owner, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; ``clock`` gives seconds."""
        self._owner = owner
        self._clock = clock
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def write(self, state: Path, told: Mapping[str, tuple[tables.Table, Progress]]) -> None:
        """Tell of this process's tables, beside those of the home's other processes.

        Args:
            state: directory of the home's ingest.
            told: declaration and progress of each table, by its ident.
        """
        mine = self.render(told)
        file = state / "processes" / f"{self._owner.name}.json"
        content = {"owner": asdict(self._owner), "tables": mine}
        write_atomically(file, json.dumps(content))
        others = _others(state / "processes", but=file)
        write_atomically(state / "status.json", json.dumps({**others, **mine}, indent=2) + "\n")

    def render(self, told: Mapping[str, tuple[tables.Table, Progress]]) -> dict[str, Any]:
        """Return the status of each table, by its ident."""
        self._samples = {
            ident: self._samples.get(ident, deque(maxlen=_WINDOW_SAMPLES)) for ident in told
        }
        return {ident: self._status(ident, *each) for ident, each in told.items()}

    def _status(self, ident: str, table: tables.Table, progress: Progress) -> dict[str, Any]:
        samples = self._samples[ident]
        samples.append((self._clock(), progress.landed))
        (first_at, first), (last_at, last) = samples[0], samples[-1]
        seconds = last_at - first_at
        reached = [batch.reached_ms for batch in progress.batches if batch.records]
        return {
            "rows": progress.rows,
            "rows_per_s": round((last - first) / seconds, 1) if seconds else 0.0,
            "files": progress.files,
            "lag_records": progress.lag_records,
            "lag_s": round(progress.lag_s, 3),
            "latency": {
                "declared_ms": table.latency_ms,
                "reached_p50_ms": percentile(reached, 0.5),
                "reached_p99_ms": percentile(reached, 0.99),
            },
            "dead_letters": progress.letters,
            "batches": [_batch(batch) for batch in progress.batches[-_TOLD_BATCHES:]],
            "committed_at": progress.committed_at.isoformat() if progress.committed_at else "",
            "process": self._owner.name,
            "state": progress.state.value,
            "turn": progress.turn,
            "loads": [asdict(load) for load in progress.loads],
            "error": progress.error,
        }


def _batch(batch: Batch) -> dict[str, Any]:
    return {**asdict(batch), "committed_at": batch.committed_at.isoformat()}


def _others(directory: Path, *, but: Path) -> dict[str, Any]:
    """Return what living processes tell, and clear away what dead ones told."""
    found: dict[str, Any] = {}
    for file in sorted(directory.glob("*.json")):
        if file == but:
            continue
        try:
            content = json.loads(file.read_text("utf-8"))
            owner = Owner(**content["owner"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
        if is_gone(owner):
            file.unlink(missing_ok=True)
        else:
            found |= content["tables"]
    return found


def read(state: Path) -> dict[str, Any]:
    """Return the status of each table that the processes last wrote; nothing where none ran."""
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
