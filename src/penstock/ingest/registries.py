"""Where a table's schemas are, when its file leaves that to where it runs.

    decoder.registry: embedded ─▶ PENSTOCK_REGISTRY, else <home>/registry.json (`penstock up --registry`)

Read anew whenever asked: a registry that is started later is found. Asks no registry.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from penstock.errors import NotReady
from penstock.model import tables

__all__ = ["address", "with_registry"]


def with_registry(table: tables.Table, *, home: Path) -> tables.Table:
    """Return the table with its registry's URL; as it is where it names one, or none is known."""
    if table.decoder.registry != tables.EMBEDDED:
        return table
    url = _known(home)
    return replace(table, decoder=replace(table.decoder, registry=url)) if url else table


def address(registry: str, *, home: Path) -> str:
    """Return the URL of what a file may say of its registry.

    Raises:
        NotReady: when it is the embedded one, and none is known.
    """
    url = _known(home) if registry == tables.EMBEDDED else registry
    if not url:
        raise NotReady(
            f"no registry is known in {home}. Start one: penstock up --registry. Or name one: "
            "PENSTOCK_REGISTRY=https://…"
        )
    return url


def _known(home: Path) -> str:
    return os.environ.get("PENSTOCK_REGISTRY") or _noted(home / "registry.json")


def _noted(path: Path) -> str:
    try:
        noted = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return ""
    return str(noted.get("url", "")) if isinstance(noted, dict) else ""
