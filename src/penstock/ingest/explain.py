"""Which strategy a merged table takes, and why: the arithmetic in words.

    Statistics (what the table is, what its merges touched) + Load ─explain─▶ Explanation

Pure. A merge costs the rewrite of the files it touches; a change log costs what it appends, and a
rewrite now and then. The smaller share of a CPU core wins, as long as a merge has time enough. The
constants are measured (`bench/merging.py`); they are of one machine, and only their ratio decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from penstock.model import tables

__all__ = ["Explanation", "Load", "Statistics", "explain", "fold_age_s", "touched_share"]

MERGE_S = 0.1
"""CPU seconds of a merge beside the rows: planning, the log, the batch's own fold."""
COPY_S_PER_MILLION = 0.5
"""CPU seconds to read and write a million rows of the touched files."""
CHANGES_S_PER_MILLION = 3.0
"""CPU seconds to fold and join a million changes, whichever way they take."""
APPEND_S = 0.03
"""CPU seconds to fold up to 10,000 changes, append them to the log, and write the number."""
APPENDED_ROWS = 10_000

MOST_FOLD_ROWS = 1_000_000
"""Changes that a log gathers at most: a fold holds them in memory."""
FOLD_RATIO = 0.1
"""Share of a CPU core that folds may take: it says how old the rows of the table alone may be."""
LEAST_FOLD_AGE_S = 60.0

_BUSY = 0.5
"""A merge may take this share of the latency, or the next one is late."""
_MILLION = 1_000_000
_LEAST_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What is known of a table.

    Attributes:
        rows: in the table.
        files: that hold them.
        touched: mean share of the files that its merges of lately rewrote; None where there was
            none, and then every file counts as touched.
        changes: mean number of changes of these merges.
    """

    rows: int
    files: int
    touched: float | None = None
    changes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What comes in.

    Attributes:
        changes_per_s: changes of rows a second.
    """

    changes_per_s: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A choice and its reasons.

    Attributes:
        strategy: copy-on-write or change-log.
        merge_ratio: share of a CPU core that copy-on-write takes.
        log_ratio: share of a CPU core that a change log takes, its folds included.
        lines: the arithmetic, a sentence each.
    """

    strategy: tables.Strategy
    merge_ratio: float
    log_ratio: float
    lines: tuple[str, ...]


def explain(table: tables.Table, statistics: Statistics, load: Load) -> Explanation:
    """Return the strategy of the table with its reasons."""
    interval_s = max(table.latency_ms / 1000, _LEAST_INTERVAL_S)
    batch = load.changes_per_s * interval_s
    share = _share(statistics, batch)
    merge_s = _merge_s(statistics.rows, share=share, changes=batch)
    merge_ratio = merge_s / interval_s
    age_s = fold_age_s(statistics.rows)
    if load.changes_per_s:
        age_s = min(age_s, MOST_FOLD_ROWS / load.changes_per_s)
    folded = load.changes_per_s * age_s
    fold_s = _merge_s(statistics.rows, share=_share(statistics, folded), changes=folded)
    append_s = APPEND_S * max(1.0, batch / APPENDED_ROWS)
    log_ratio = append_s / interval_s + fold_s / age_s
    chosen, reason = _chosen(table.merge.strategy, merge_ratio, log_ratio)
    seen = "measured in its log" if statistics.touched is not None else "no merge seen yet: all"
    lines = (
        _sentence(
            f"A batch is {batch:,.0f} changes: {load.changes_per_s:,.0f} a second for",
            f"{interval_s:g} s.",
        ),
        _sentence(
            f"It touches {share:.0%} of the table's {statistics.files:,} files ({seen}), so a merge",
            f"copies {statistics.rows * share:,.0f} of {statistics.rows:,} rows.",
        ),
        _sentence(
            f"Copy-on-write: {MERGE_S:g} s + {statistics.rows * share / _MILLION:,.2f} M rows x",
            f"{COPY_S_PER_MILLION:g} s + {batch / _MILLION:,.3f} M changes x",
            f"{CHANGES_S_PER_MILLION:g} s = {merge_s:,.2f} CPU s every {interval_s:g} s:",
            f"{merge_ratio:.1%} of a core.",
        ),
        _sentence(
            f"Change log: {append_s:,.3f} CPU s every {interval_s:g} s, and a fold of",
            f"{folded:,.0f} changes ({fold_s:,.1f} CPU s) every {age_s:,.0f} s: {log_ratio:.1%} of",
            "a core. The table alone is that old; the newest rows are read with the log.",
        ),
        reason,
    )
    return Explanation(strategy=chosen, merge_ratio=merge_ratio, log_ratio=log_ratio, lines=lines)


def fold_age_s(rows: int) -> float:
    """Return after how many seconds a log is folded into a table of so many rows.

    A fold of keys from everywhere rewrites the whole table, so a larger one waits longer.
    """
    return max(LEAST_FOLD_AGE_S, _merge_s(rows, share=1.0, changes=0) / FOLD_RATIO)


def touched_share(merges: Sequence[tuple[int, int]], *, files: int) -> tuple[float | None, float]:
    """Return the mean share of files that merges touched, and their mean number of changes.

    Args:
        merges: changes and files removed of each.
        files: of the table.
    """
    counted = [(changes, removed) for changes, removed in merges if changes]
    if not counted or not files:
        return None, 0.0
    touched = sum(min(1.0, removed / files) for _, removed in counted) / len(counted)
    return touched, sum(changes for changes, _ in counted) / len(counted)


def _share(statistics: Statistics, changes: float) -> float:
    """Return the share of files that so many changes touch: each misses what it missed before."""
    if statistics.touched is None:
        return 1.0
    missed = max(0.0, 1.0 - statistics.touched)
    return 1.0 - float(missed ** (changes / max(1.0, statistics.changes)))


def _merge_s(rows: int, *, share: float, changes: float) -> float:
    copied = rows * share * COPY_S_PER_MILLION / _MILLION
    return MERGE_S + copied + changes * CHANGES_S_PER_MILLION / _MILLION


def _chosen(
    declared: tables.Strategy, merge_ratio: float, log_ratio: float
) -> tuple[tables.Strategy, str]:
    match declared:
        case tables.Strategy.COPY_ON_WRITE | tables.Strategy.CHANGE_LOG:
            return declared, f"The declaration says {declared}."
        case tables.Strategy.AUTO:
            pass
        case _:
            assert_never(declared)
    if merge_ratio <= _BUSY:
        return tables.Strategy.COPY_ON_WRITE, _sentence(
            f"Chosen: copy-on-write. A merge takes {merge_ratio:.1%} of its time, at most",
            f"{_BUSY:.0%} is fine, and readers need nothing but the table.",
        )
    if log_ratio < merge_ratio:
        return tables.Strategy.CHANGE_LOG, _sentence(
            f"Chosen: change-log. A merge would take {merge_ratio:.1%} of its time, more than",
            f"{_BUSY:.0%}. A longer latency makes copy-on-write cheaper: it pays once a batch.",
        )
    return tables.Strategy.COPY_ON_WRITE, _sentence(
        "Chosen: copy-on-write, the cheaper of two that are both too slow. Declare a longer",
        "latency, or engine: spark.",
    )


def _sentence(*parts: str) -> str:
    return " ".join(parts)
