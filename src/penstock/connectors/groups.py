"""Where the Connect groups are, by cluster.

    <home>/connect.json (written by the runtime) + --group ─▶ {cluster: addresses}

Read anew whenever asked: a group that is started later is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.connectors.settings import Settings
from penstock.errors import ConfigError, NotReady

__all__ = ["demand", "find"]


def find(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the REST addresses of every known group."""
    noted = _noted(settings.home / "connect.json")
    return {name: tuple(found) for name, found in {**noted, **settings.groups}.items()}


def demand(settings: Settings, cluster: str) -> tuple[str, ...]:
    """Return the REST addresses of one cluster's group.

    Raises:
        ConfigError: when groups are known, but not this one.
        NotReady: when none is known.
    """
    known = find(settings)
    if cluster in known:
        return known[cluster]
    if known:
        raise ConfigError(
            f"no Connect group of cluster {cluster!r} is known; known are {', '.join(sorted(known))}. "
            f"Start one (penstock up), or name it: --group {cluster}=http://HOST:PORT."
        )
    raise NotReady(
        f"no Connect group is known in {settings.home}. Start one (penstock up, with a connector in "
        f"the estate), or name one: --group {cluster}=http://HOST:PORT."
    )


def _noted(path: Path) -> Mapping[str, Sequence[str]]:
    try:
        noted = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return noted if isinstance(noted, dict) else {}
