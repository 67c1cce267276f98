"""How far a table is: values that any thread may read, and any process may tell.

batch after batch ─▶ Progress ─▶ status file, /metrics, `penstock table status`
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Batch", "Progress", "State", "Told", "percentile"]


class State(StrEnum):
    """What a table's worker does."""

    RUNNING = "running"
    WAITING = "waiting"
    """Something does not work now; it is tried again."""
    PAUSED = "paused"
    """A person asked for it: `penstock table resume` ends it."""
    YIELDING = "yielding"
    """A load has its turn at the table, for one piece; it ends by itself."""
    STOPPED = "stopped"
    """A person has to act; the error says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One committed batch.

    Attributes:
        reached_ms: from the oldest record's own time to its being in the table.
    """

    number: int
    committed_at: datetime
    records: int
    inserted: int
    updated: int
    deleted: int
    letters: int
    duration_ms: int
    files_added: int
    files_removed: int
    reached_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How far a load of a table is.

    Attributes:
        name: ``bootstrap`` or ``backfill/<id>``.
        source: URI of what is loaded.
        pieces: in the table.
        rows_done: of what is loaded, in these pieces; for JSON lines about how many.
        rows_total: of what is loaded.
        rows_per_s: of what is loaded, over the last pieces; 0 while it does not run.
        records: looked at, as the last process told.
        rows: of them, how many came to rows, as it told.
        letters: dead letters, as it told.
        error: why it waits.
    """

    name: str
    source: str
    state: str
    pieces: int
    of: int
    rows_done: int = 0
    rows_total: int = 0
    rows_per_s: float = 0.0
    records: int = 0
    rows: int = 0
    letters: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a table is.

    Attributes:
        rows: rows in the table.
        files: that hold them.
        landed: rows this process has added.
        letters: records this process has made dead letters.
        lag_records: records on the clusters that are not in the table yet.
        lag_s: how far behind the last batch's oldest record was, while there is more to read.
        committed_at: of the last commit of this process.
        batches: the last ones of this process, newest last.
        loads: bootstraps and backfills of the table, whichever process carries them out.
        turn: the load that has its turn at the table, beside a person's pause or not.
        error: what does not work, with the next step; a cluster may be down while the table runs.
    """

    state: State = State.WAITING
    rows: int = 0
    files: int = 0
    landed: int = 0
    letters: int = 0
    lag_records: int = 0
    lag_s: float = 0.0
    committed_at: datetime | None = None
    batches: tuple[Batch, ...] = ()
    loads: tuple[Told, ...] = ()
    turn: str = ""
    error: str = ""


def percentile(values: list[int], share: float) -> int:
    """Return the value that the share of all values is not above; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
