"""Removes a connector for good, when a person says so, and in an order a kill cannot hurt.

    look ─▶ Doomed(offsets, slot): shown, asked ─▶ stopped ─▶ offsets forgotten ─▶ deleted ─▶ slot

Never a connector that is declared, never one that is not ours. The topics and what they hold stay.
A slot that nobody reads keeps its database's log for ever: so it is named, and dropped when told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock.connectors import slots
from penstock.connectors.observations import Observed, State
from penstock.connectors.rest import Connect, Offset
from penstock.connectors.wanted import OWNER
from penstock.errors import NotFound, NotReady, Refused

__all__ = ["Doomed", "carry_out", "look"]

_STOPPED_WITHIN_S = 60.0
_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """What goes with a connector.

    Attributes:
        offsets: how far it was; nobody could go on from there afterwards.
        slot: name of its replication slot in PostgreSQL; empty where it has none.
    """

    connector: Observed
    offsets: tuple[Offset, ...]
    slot: str

    @property
    def drop_statement(self) -> str:
        """Return the SQL that drops the slot."""
        return f"SELECT pg_drop_replication_slot('{self.slot}');"


def look(connect: Connect, name: str, *, declared: bool) -> Doomed:
    """Return what would go with the connector.

    Args:
        connect: its group.
        name: the connector's.
        declared: whether the estate still declares it.

    Raises:
        NotFound: when the group has no such connector.
        Refused: when it is declared, or not ours.
    """
    observed = connect.connectors()
    if name not in observed:
        raise NotFound(
            f"the Connect group of cluster {connect.cluster} has no connector {name!r}; it has "
            f"{', '.join(sorted(observed)) or 'none'}."
        )
    connector = observed[name]
    if OWNER not in connector.config:
        raise Refused(
            f"connector {name} was not made by Penstock, and is left as it is. Delete it by "
            "Connect's own means."
        )
    if declared:
        raise Refused(
            f"connector {name} is declared, and would be made again. Remove its file from the "
            "estate, apply, then delete it."
        )
    return Doomed(
        connector=connector,
        offsets=connect.offsets(name),
        slot=slots.name_of(connector.config) if slots.reads_postgres(connector.config) else "",
    )


def carry_out(
    connect: Connect,
    doomed: Doomed,
    *,
    drop_slot: bool,
    secrets: Path,
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Remove the connector; tell whether its slot was dropped as well.

    May be repeated after a kill at any step.

    Raises:
        NotReady: when the group does not settle, or the database cannot be reached; the connector
            itself may be gone then, and the slot still there.
        Refused: when somebody reads from the slot.
    """
    name = doomed.connector.name
    connect.stop(name)
    _await_stopped(connect, name, wait)
    connect.forget_offsets(name)
    connect.delete(name)
    if not (drop_slot and doomed.slot):
        return False
    return slots.drop(doomed.connector.config, directory=secrets)


def _await_stopped(connect: Connect, name: str, wait: Callable[[float], None]) -> None:
    """Wait until no task of it is left: its position must not move any more."""
    deadline = time.monotonic() + _STOPPED_WITHIN_S
    while True:
        seen = connect.connectors().get(name)
        if seen is None or (seen.state is State.STOPPED and not seen.tasks):
            return
        if time.monotonic() > deadline:
            raise NotReady(
                f"connector {name} did not stop within {_STOPPED_WITHIN_S:.0f} s. Nothing was "
                "deleted; try again."
            )
        wait(_POLL_S)
