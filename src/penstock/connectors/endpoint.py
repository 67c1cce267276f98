"""What ``/health`` and ``/metrics`` of a managing process tell.

statuses ─▶ gauges ─▶ /metrics
        └─▶ any connector failed, absent, unknown? ─▶ /health: 200 or 503, and which
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from penstock.connectors.statuses import Condition, Status
from penstock.telemetry import attributes, endpoint

__all__ = ["serve"]

Look: TypeAlias = Callable[[], Sequence[Status]]
"""Gives how each connector is."""

_ILL = {Condition.FAILED, Condition.ABSENT, Condition.FOREIGN, Condition.UNKNOWN}


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
        endpoint.gauge("penstock.connectors", name, lambda: _marked(look()), value)
    with endpoint.serve(listen, lambda: _health(look()), program="connect") as address:
        yield address


_GAUGES: dict[str, Callable[[Status], float | None]] = {
    attributes.CONNECTOR_RUNNING: lambda one: one.condition is Condition.RUNNING,
    attributes.CONNECTOR_FAILED_TASKS: lambda one: one.tasks.count("failed"),
    attributes.CONNECTOR_RESTARTS: lambda one: one.restarts,
    attributes.CONNECTOR_SLOT_LAG: lambda one: one.lag.slot.lag_bytes if one.lag.slot else None,
    attributes.CONNECTOR_EVENT_AGE: lambda one: (
        max(0.0, time.time() - one.lag.newest_ms / 1000) if one.lag.newest_ms else None
    ),
}


def _marked(statuses: Sequence[Status]) -> Iterable[tuple[Status, Mapping[str, str]]]:
    return [(one, {attributes.CONNECTOR: one.ident}) for one in statuses]


def _health(statuses: Sequence[Status]) -> tuple[bool, Mapping[str, Any]]:
    ill = {one.ident: one.error or one.condition.value for one in statuses if one.condition in _ILL}
    return not ill, {"status": "ill" if ill else "ok", "connectors": len(statuses), "ill": ill}
