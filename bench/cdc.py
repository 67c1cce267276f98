"""From a commit in PostgreSQL to the row in the table, at ``latency: continuous``.

    the shop under load ─▶ Debezium in Connect ─▶ Kafka ─▶ ingest ─▶ Delta ─looked at every 0.1 s─▶ lag

The story of `penstock demo cdc` without its kills: three merged tables with change feed, every part
on this machine, and the tables compared with their source all the while, which is work as well.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.rows import Row
from penstock.runtime.demo import cdc

SECONDS = 60.0
P50_GOAL_S = 2.0


def run() -> list[Row]:
    """Tell the story once."""
    story = cdc.Story(seconds=SECONDS, kills=False)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        result = cdc.run(Path(directory), story)
    p50, p99 = result.lag_seconds_p50, result.lag_seconds_p99
    if p50 is None or p99 is None:
        raise SystemExit("no change came into sight")
    equal = "every row equal to its source" if result.equal else "NOT equal to the source"
    note = f"{result.changes:,} changes, {result.changes_per_s:,.0f} a second; in the end {equal}"
    met = p50 <= P50_GOAL_S and result.equal
    return [
        _row("commit in PostgreSQL to row in the table, p50", p50, met=met)
        | {"goal": f"≤ {P50_GOAL_S:g} s", "note": note},
        _row("commit in PostgreSQL to row in the table, p99", p99, met=None),
    ]


def _row(case: str, ours: float, *, met: bool | None) -> Row:
    return {
        "bench": "cdc",
        "case": case,
        "ours": ours,
        "peer": None,
        "peer_name": None,
        "unit": "s",
        "ratio": None,
        "goal": "none",
        "met": met,
    }
