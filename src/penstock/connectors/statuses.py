"""What a managing process tells of each connector: ``<home>/connect/status.json``.

    wanted, observed, tries, lag ─describe─▶ Status ─▶ the file, /health, /metrics, the command

Pure, but for the writing and reading of the one file, which is replaced as a whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from penstock.connectors.observations import Observed, State
from penstock.connectors.slots import Slot

__all__ = ["Condition", "Lag", "Status", "condition", "read", "render", "write_atomically"]


class Condition(StrEnum):
    """How a connector is, in one word."""

    RUNNING = "running"
    STARTING = "starting"
    """Some of it has no worker yet."""
    PAUSED = "paused"
    STOPPED = "stopped"
    FAILED = "failed"
    """The connector or a task of it has failed; it is restarted with growing pauses."""
    ABSENT = "absent"
    """Declared, and not in its group yet; `error` says why."""
    FOREIGN = "foreign"
    """What runs under its name is not to be touched; `error` says why."""
    RETIRED = "retired"
    """Declared no more: stopped; its configuration and position are kept."""
    UNKNOWN = "unknown"
    """Its group does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a source connector is behind.

    Attributes:
        slot: of a PostgreSQL source, where its database could be asked.
        newest_ms: time of the newest record in its topics, ms since 1970; 0 for none.
        error: why the database or the topics could not be asked.
    """

    slot: Slot | None = None
    newest_ms: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One connector.

    Attributes:
        ident: ``environment/name``.
        wanted: the state declared, or what an operator said; empty when it is declared no more.
        tasks: state of each.
        error: why it is not as wanted, in one line.
        tries: how often it was tried to put it right, in a row.
        next_try_s: seconds until the next try; 0 for none due.
        restarts: of failed parts, since the managing process started.
        did: what was done last.
        topics: those it has used.
    """

    ident: str
    name: str
    cluster: str
    wanted: str
    condition: Condition
    tasks: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    error: str = ""
    tries: int = 0
    next_try_s: float = 0.0
    restarts: int = 0
    did: str = ""
    topics: tuple[str, ...] = ()
    lag: Lag = field(default_factory=Lag)


def condition(seen: Observed) -> Condition:
    """Return how the connector is."""
    if seen.failed:
        return Condition.FAILED
    match seen.state:
        case State.PAUSED:
            return Condition.PAUSED
        case State.STOPPED:
            return Condition.STOPPED
        case _:
            return Condition.RUNNING if seen.healthy else Condition.STARTING


def render(statuses: Iterable[Status], *, now_ms: int) -> dict[str, dict[str, Any]]:
    """Return what the status file holds, by ident; times are told as ages in seconds as well."""
    return {one.ident: _rendered(one, now_ms) for one in statuses}


def _rendered(status: Status, now_ms: int) -> dict[str, Any]:
    lag = status.lag
    age_s = round(max(0, now_ms - lag.newest_ms) / 1000, 1) if lag.newest_ms else None
    return {
        **{key: value for key, value in asdict(status).items() if key not in {"ident", "lag"}},
        "slot": asdict(lag.slot) if lag.slot else None,
        "seconds_since_event": age_s,
        "lag_error": lag.error,
    }


def read(state: Path) -> Mapping[str, Any]:
    """Return what the managing process last wrote; nothing where none ran."""
    try:
        told = json.loads((state / "status.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def write_atomically(path: Path, text: str) -> None:
    """Replace the file in one step; a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
