"""The connectors' part of a plan: what Kafka Connect is to run, as recorded and served.

declared, recorded ─▶ changes, and refusals of what would lose a connector's place in its source

A source connector's place is kept under its cluster, its slot and its topic prefix. With another
one it would begin anew or, worse, go on from a place that never saw what was written in between;
so none of these is ever changed under the same name.
"""

from __future__ import annotations

from penstock.control import changes, refusals
from penstock.control.declare.estate import Estate
from penstock.control.observations import Recorded
from penstock.model import connectors

__all__ = ["plan_connectors"]

_PLACE = ("slot.name", "database.dbname", "topic.prefix")
"""Settings of a source that its stored place belongs to."""


def plan_connectors(
    declared: Estate, recorded: Recorded
) -> tuple[list[changes.Change], list[refusals.Refusal]]:
    """Return the changes of connectors, and the updates that are refused."""
    steps: list[changes.Change] = []
    refused: list[refusals.Refusal] = []
    for ident, connector in declared.connectors.items():
        old = recorded.connectors.get(ident)
        if old is None:
            steps.append(changes.DeclareConnector(new=connector))
        elif old != connector:
            moved = _find_move(old, connector)
            if moved:
                refused.append(refusals.connector_moved(connector, *moved))
            else:
                steps.append(changes.UpdateConnector(old=old, new=connector))
    gone = recorded.connectors.keys() - declared.connectors.keys()
    steps += [changes.RemoveConnector(old=recorded.connectors[ident]) for ident in gone]
    return steps, refused


def _find_move(old: connectors.Connector, new: connectors.Connector) -> tuple[str, str, str] | None:
    """Return what changed of the connector's place, from what, to what."""
    places = [
        ("cluster", old.cluster, new.cluster),
        ("type", old.kind.value, new.kind.value),
        *((key, old.config.get(key, ""), new.config.get(key, "")) for key in _PLACE),
    ]
    return next((place for place in places if place[1] != place[2]), None)
