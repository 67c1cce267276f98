"""What may become of a table whose declared columns changed: a decision, without effects.

    declared, existing, policy ─additions─▶ columns to add, or a refusal that names every difference

Guarantee: no column is ever dropped, and none made to hold what it cannot.
"""

from __future__ import annotations

import pyarrow as pa

from penstock.errors import Refused
from penstock.ingest import arrow_types, plan
from penstock.model import tables

__all__ = ["additions"]


def additions(
    declared: pa.Schema,
    existing: pa.Schema,
    *,
    partitions: tuple[str, str],
    policy: tables.Evolution,
    place: str,
) -> list[pa.Field]:
    """Return the columns that the table is to get.

    Args:
        declared: the columns as Delta has them.
        existing: the table's.
        partitions: the columns it is declared to be laid out by, and those it is laid out by.
        policy: what the declaration allows.
        place: of the table, for the message.

    Raises:
        Refused: when that would not make the table what is declared, with every difference.
    """
    new = [field for field in declared if field.name not in existing.names]
    grows = policy is not tables.Evolution.REFUSE
    new_names = {field.name for field in new if field.nullable and grows}
    differs = plan.difference(
        declared={
            **{f.name: _described(f) for f in declared if f.name not in new_names},
            "the layout": partitions[0],
        },
        existing={**{f.name: _described(f) for f in existing}, "the layout": partitions[1]},
    )
    if differs:
        raise Refused(
            f"the table at {place} is not what is declared: {differs}. Declare what is there, or "
            "give the table another name or path; rows are never rewritten."
        )
    return [field for field in new if field.name in new_names]


def _described(field: pa.Field) -> str:
    return type_name(field.type) + ("" if field.nullable else " not null")


def type_name(kind: pa.DataType) -> str:
    """Return a type as declarations write it."""
    try:
        return str(arrow_types.from_arrow(kind))
    except ValueError:
        return str(kind)
