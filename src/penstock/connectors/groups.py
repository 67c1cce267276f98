"""Where the Connect groups are, by cluster.

    <home>/connect.json (written by the runtime) + --group ─▶ {cluster: addresses}
    <home>/connect/coming.json (written by the runtime) ─────▶ {cluster: what it waits for}

Read anew whenever asked: a group that is started later is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.connectors.settings import Settings
from penstock.errors import ConfigError, NotReady

__all__ = ["coming", "demand", "find"]


def find(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the REST addresses of every known group."""
    noted = _noted(settings.home / "connect.json")
    return {name: tuple(found) for name, found in {**noted, **settings.groups}.items()}


def coming(settings: Settings) -> dict[str, str]:
    """Return what groups wait for that are being started, or get a new plug-in."""
    noted = _noted(settings.state / "coming.json")
    return {name: str(what) for name, what in noted.items()}


def demand(settings: Settings, cluster: str) -> tuple[str, ...]:
    """Return the REST addresses of one cluster's group.

    Raises:
        ConfigError: when groups are known, but not this one.
        NotReady: when none is known, or this one is being started.
    """
    known = find(settings)
    if cluster in known:
        return known[cluster]
    if what := coming(settings).get(cluster):
        raise NotReady(
            f"the Connect group of cluster {cluster} is being started: {what}. Ask again."
        )
    if known:
        raise ConfigError(
            f"no Connect group of cluster {cluster!r} is known; known are {', '.join(sorted(known))}. "
            f"Start one (penstock up), or name it: --group {cluster}=http://HOST:PORT."
        )
    raise NotReady(
        f"no Connect group is known in {settings.home}. Start one (penstock up, and a connector of "
        f"one of its clusters applied), or name one: --group {cluster}=http://HOST:PORT."
    )


def _noted(path: Path) -> Mapping[str, Any]:
    try:
        noted = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return noted if isinstance(noted, dict) else {}
