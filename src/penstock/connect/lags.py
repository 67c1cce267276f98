"""Measures how far a source connector is behind: in bytes at its source, in time at its topics.

the database's slot ─┐
newest record ───────┴─▶ statuses.Lag        what cannot be asked is told, and stops nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penstock.connect import slots
from penstock.connect.observations import Observed
from penstock.connect.statuses import Lag
from penstock.errors import PenstockError
from penstock.kafka.admin import Admin
from penstock.kafka.newest import newest_ms

__all__ = ["measure"]

_HEARTBEATS = "__"
"""Names of topics that carry no events of the source begin so."""


def measure(seen: Observed, *, topics: Sequence[str], admin: Admin | None, secrets: Path) -> Lag:
    """Return how far the connector is behind.

    Args:
        seen: the connector.
        topics: those it has used.
        admin: of its cluster; None where its address is not known.
        secrets: the directory of secrets.
    """
    errors: list[str] = []
    slot = None
    if slots.reads_postgres(seen.config):
        try:
            slot = slots.look(seen.config, directory=secrets)
        except PenstockError as error:
            errors.append(error.message)
        except ModuleNotFoundError:
            errors.append("the slot is not looked at: pip install 'penstock[postgres]'.")
    newest = 0
    if admin is not None:
        try:
            found = newest_ms(admin, (t for t in topics if not t.startswith(_HEARTBEATS)))
            newest = max(found.values(), default=0)
        except PenstockError as error:
            errors.append(error.message)
    return Lag(slot=slot, newest_ms=newest, error=" ".join(errors))
