"""The view of a running platform: drawn anew each second in a terminal, lines elsewhere.

    statuses.gather, once a second, in a thread ─▶ Latest(status, rates) ─▶ draw / line

Shows; asks nothing, decides nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from penstock.runtime import statuses

__all__ = ["Latest", "Watch", "describe", "draw"]

_EVERY_S = 1.0
_WINDOW_S = 5.0
_COLOURS = {"ready": "green", "active": "green", "up": "green", "done": "dim", "starting": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A status, and how fast topics grew up to it.

    Attributes:
        rates: records a second by (topic, cluster), over the last seconds.
    """

    status: statuses.Status
    rates: dict[tuple[str, str], float] = field(default_factory=dict)


class Watch:
    """Gathers the status once a second until it is closed."""

    def __init__(self, home: Path) -> None:
        """Start gathering."""
        self._home = home
        self._history: list[tuple[float, statuses.Status]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def latest(self) -> Latest | None:
        """Return what was gathered last; None before the first time."""
        history = self._history
        if not history:
            return None
        (then_s, then), (now_s, now) = history[0], history[-1]
        return Latest(status=now, rates=_rates(then, now, seconds=now_s - then_s))

    def close(self) -> None:
        """Stop gathering."""
        self._closing.set()
        self._thread.join(timeout=_WINDOW_S)

    def _run(self) -> None:
        while True:
            taken_s = time.monotonic()
            status = statuses.gather(self._home)
            recent = [one for one in self._history if taken_s - one[0] <= _WINDOW_S]
            self._history = [*recent, (taken_s, status)]
            if self._closing.wait(max(0.0, taken_s + _EVERY_S - time.monotonic())):
                return


def draw(latest: Latest, *, tries: bool = True) -> RenderableType:
    """Return the whole picture for a terminal.

    Args:
        latest: from `Watch.latest`.
        tries: whether to say what to try next.
    """
    status = latest.status
    parts: list[RenderableType] = [_headline(status), "", _clusters(status), ""]
    if status.topics:
        parts += [_topics(latest), ""]
    if status.tables:
        parts += [_tables(status), ""]
    parts += [Text(f"… {status.doing}", style="yellow")] if status.doing else []
    parts += [Text(f"! {note}", style="yellow") for note in status.notes]
    parts += [
        Text(f"! {p.name} is {p.state}: {p.reason}; its log is {p.log}", style="yellow")
        for p in status.processes
        if p.reason
    ]
    parts += [
        Text(f"! table {t.name}: {t.error}", style="yellow") for t in status.tables if t.error
    ]
    if tries:
        parts.append(_what_to_try(status))
    return Group(*parts)


def describe(latest: Latest) -> str:
    """Return one line that says the same in short."""
    status = latest.status
    parts = [f"{c.name} {c.state}" for c in status.clusters]
    parts += [f"control {status.control.state}"]
    parts += [
        f"{topic.name} {_rate(latest, topic, cluster)} on {cluster}"
        for topic in status.topics
        for cluster in topic.records
        if latest.rates.get((topic.name, cluster))
    ]
    parts += [f"table {t.name} {t.rows:,} rows, {t.rows_per_s:.1f}/s" for t in status.tables]
    parts += [f"{p.name} {p.state}: {p.reason}" for p in status.processes if p.reason]
    parts += [status.doing] if status.doing else []
    return " · ".join([*parts, *status.notes])


def _rates(
    then: statuses.Status, now: statuses.Status, *, seconds: float
) -> dict[tuple[str, str], float]:
    if seconds <= 0:
        return {}
    before = {(t.name, cluster): n for t in then.topics for cluster, n in t.records.items()}
    after = {(t.name, cluster): n for t in now.topics for cluster, n in t.records.items()}
    return {key: (after[key] - before[key]) / seconds for key in after.keys() & before.keys()}


def _headline(status: statuses.Status) -> Text:
    control = status.control
    text = Text.assemble(("Penstock", "bold"), " is ", _state(status.state), f" in {status.home}")
    if control.state == "ready":
        text.append(f"   {control.rest}   gRPC {control.grpc}   {control.clients} clients")
    if status.registry:
        text.append(f"\nSchema registry: {status.registry}")
    return text


def _clusters(status: statuses.Status) -> Table:
    table = _table("cluster", "state", "traffic", "brokers", "bootstrap")
    for one in status.clusters:
        brokers = Text(" ").join(Text(str(b.number), style=_style(b.state)) for b in one.brokers)
        table.add_row(one.name, _state(one.state), _state(one.traffic), brokers, one.bootstrap)
    return table


def _topics(latest: Latest) -> Table:
    table = _table("topic", "routing", "active cluster", "records")
    if latest.rates:
        table.add_column("records/s")
    for topic in latest.status.topics:
        counts = "  ".join(f"{cluster} {count:,}" for cluster, count in topic.records.items())
        rates = "  ".join(f"{c} {_rate(latest, topic, c)}" for c in topic.records)
        cells = [topic.name, topic.routing, topic.active or "all", counts]
        table.add_row(*cells, *([rates] if latest.rates else []))
    return table


def _tables(status: statuses.Status) -> Table:
    table = _table("table", "rows", "rows/s", "behind", "last commit")
    for one in status.tables:
        table.add_row(
            one.name,
            f"{one.rows:,}",
            f"{one.rows_per_s:.1f}",
            f"{one.lag_records:,}",
            one.committed_at,
        )
    return table


def _what_to_try(status: statuses.Status) -> Text:
    lines = []
    if status.state == "up" and status.topics:
        lines += [
            "In a second terminal:",
            *(
                _command(f"table show {table.name.rpartition('/')[2]}", home=status.home)
                for table in status.tables[:1]
            ),
            _command("drill cluster-loss", home=status.home),
            _command("plan examples/quickstart", home=status.home),
        ]
    lines.append("Ctrl-C stops everything; nothing is lost.")
    return Text("\n".join(lines), style="dim")


def _command(arguments: str, *, home: str) -> str:
    """Return a line to paste: the program as it can be found, and the home where it must be said."""
    program = "penstock" if shutil.which("penstock") else sys.argv[0]
    elsewhere = Path(home) != Path(os.environ.get("PENSTOCK_HOME", ".penstock"))
    return f"  {program} {arguments}" + (f" --home {home}" if elsewhere else "")


def _rate(latest: Latest, topic: statuses.TopicStatus, cluster: str) -> str:
    return f"{latest.rates.get((topic.name, cluster), 0.0):.1f}/s"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _state(state: str) -> Text:
    return Text(state or "-", style=_style(state))


def _style(state: str) -> str:
    return _COLOURS.get(state, "red" if state else "dim")
