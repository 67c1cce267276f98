"""Which way a merged table is written: decided when it is opened.

table + what its own log tells of it ─explain─▶ MergeTarget | ChangeLogTarget
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from penstock.ingest import explain, merging
from penstock.ingest.targets.change_log import ChangeLogTarget, Due
from penstock.ingest.targets.merge import MergeTarget
from penstock.model import tables

__all__ = ["chosen", "statistics_of"]


def statistics_of(lake: merging.KeyedTable) -> explain.Statistics:
    """Return what the table and its log tell."""
    files = lake.files
    touched, changes = explain.touched_share(lake.merges(), files=files)
    return explain.Statistics(rows=lake.rows, files=files, touched=touched, changes=changes)


def chosen(
    table: tables.Table, base: MergeTarget, *, clock: Callable[[], datetime]
) -> MergeTarget | ChangeLogTarget:
    """Return the target by the strategy that is declared, or that suits the table.

    A log that a former strategy has left is folded in first, whatever the strategy is.
    """
    explanation = explain.explain(table, statistics_of(base.lake), explain.Load())
    if explanation.strategy is tables.Strategy.CHANGE_LOG:
        age = timedelta(seconds=explain.fold_age_s(base.rows))
        due = Due(rows=explain.MOST_FOLD_ROWS, age=age)
        return ChangeLogTarget(base, due=due, clock=clock)
    if ChangeLogTarget.is_at(base.lake.place):
        ChangeLogTarget(base, clock=clock).fold()
    return base
