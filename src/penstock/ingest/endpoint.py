"""What ``/health`` and ``/metrics`` of an ingest process tell.

progress of each table, and of its loads ─▶ gauges ─▶ /metrics
                       └─▶ any table stopped? ─▶ /health: 200 or 503, and which
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from penstock.ingest.progress import Progress, State, Told, percentile
from penstock.telemetry import attributes, endpoint

__all__ = ["serve"]

Look: TypeAlias = Callable[[], Mapping[str, Progress]]
"""Gives the progress of each table by its ident."""


@contextmanager
def serve(listen: str, look: Look) -> Iterator[str]:
    """Answer until the block ends; yields ``http://host:port``.

    Args:
        listen: ``host:port`` on loopback; port 0 takes a free one.
        look: gives what is told.

    Raises:
        ConfigError: when the address is none, or not on loopback.
        NotReady: when the port is taken.
    """
    for name, value in _GAUGES.items():
        endpoint.gauge("penstock.ingest", name, lambda: _marked(look()), value)
    for name, measured in _LOAD_GAUGES.items():
        endpoint.gauge("penstock.ingest", name, lambda: _loads(look()), measured)
    with endpoint.serve(listen, lambda: _health(look()), program="ingest") as address:
        yield address


_GAUGES: dict[str, Callable[[Progress], float]] = {
    attributes.TABLE_ROWS: lambda progress: progress.rows,
    attributes.TABLE_LANDED: lambda progress: progress.landed,
    attributes.TABLE_LAG: lambda progress: progress.lag_records,
    attributes.TABLE_LAG_S: lambda progress: progress.lag_s,
    attributes.TABLE_LATENCY: lambda progress: percentile(
        [batch.reached_ms for batch in progress.batches], 0.5
    ),
    attributes.TABLE_FILES: lambda progress: progress.files,
    attributes.TABLE_DEAD_LETTERS: lambda progress: progress.letters,
    attributes.TABLE_COMMIT: lambda progress: (
        progress.batches[-1].duration_ms if progress.batches else 0
    ),
    attributes.TABLE_RUNNING: lambda progress: progress.state is State.RUNNING,
}

_LOAD_GAUGES: dict[str, Callable[[Told], float]] = {
    attributes.LOAD_ROWS_DONE: lambda load: load.rows_done,
    attributes.LOAD_ROWS_TOTAL: lambda load: load.rows_total,
    attributes.LOAD_RATE: lambda load: load.rows_per_s,
    attributes.LOAD_RUNNING: lambda load: load.state == "running",
}


def _loads(tables: Mapping[str, Progress]) -> Iterable[tuple[Told, Mapping[str, str]]]:
    return [
        (load, {attributes.TABLE: ident, attributes.LOAD: load.name})
        for ident, progress in tables.items()
        for load in progress.loads
    ]


def _marked(tables: Mapping[str, Progress]) -> Iterable[tuple[Progress, Mapping[str, str]]]:
    return [(progress, {attributes.TABLE: ident}) for ident, progress in tables.items()]


def _health(tables: Mapping[str, Progress]) -> tuple[bool, Mapping[str, Any]]:
    stopped = {i: p.error for i, p in tables.items() if p.state is State.STOPPED}
    status = "stopped" if stopped else "ok"
    return not stopped, {"status": status, "tables": len(tables), "stopped": stopped}
