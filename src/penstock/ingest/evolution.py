"""What may become of a table whose declared columns changed: a decision, without effects.

    declared, existing, policy ─evolve─▶ columns to add, columns to widen; or a refusal that names
                                         every difference

Guarantee: no column is ever dropped, and none gets a type that cannot hold all of its old values.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from penstock.errors import Refused
from penstock.ingest import arrow_types, plan
from penstock.model import tables, types

__all__ = ["Evolved", "evolve"]

_WHOLE = (
    types.Primitive.BYTE,
    types.Primitive.SHORT,
    types.Primitive.INTEGER,
    types.Primitive.LONG,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolved:
    """What is to be done to a table.

    Attributes:
        added: columns it is to get.
        widened: columns it has, with the types they are to have.
    """

    added: tuple[pa.Field, ...] = ()
    widened: tuple[pa.Field, ...] = ()


def evolve(
    declared: pa.Schema,
    existing: pa.Schema,
    *,
    layouts: tuple[str, str],
    policy: tables.Evolution,
    place: str,
) -> Evolved:
    """Return what makes the table what is declared.

    Args:
        declared: the columns as Delta has them.
        existing: the table's.
        layouts: how it is declared to be laid out, and how it is.
        policy: what the declaration allows.
        place: of the table, for the message.

    Raises:
        Refused: when that cannot be done, or is not allowed, with every difference.
    """
    adds = policy is not tables.Evolution.REFUSE
    widens = policy is tables.Evolution.WIDEN
    known = set(existing.names)
    added = tuple(f for f in declared if f.name not in known and f.nullable and adds)
    widened = tuple(
        f for f in declared if f.name in known and widens and _holds(f, existing.field(f.name))
    )
    done = {field.name for field in (*added, *widened)}
    differs = plan.difference(
        declared={f.name: _described(f) for f in declared if f.name not in done}
        | {"the layout": layouts[0]},
        existing={
            f.name: _described(f) for f in existing if f.name not in {w.name for w in widened}
        }
        | {"the layout": layouts[1]},
    )
    if differs:
        raise Refused(
            f"the table at {place} is not what is declared: {differs}. Declare what is there, or "
            f"give the table another name or path.{_allowed(policy)}"
        )
    return Evolved(added=added, widened=widened)


def _allowed(policy: tables.Evolution) -> str:
    match policy:
        case tables.Evolution.REFUSE:
            return " `evolution: add-columns` would add columns that may be null."
        case tables.Evolution.ADD:
            return " `evolution: widen` would also widen whole numbers, float and decimal."
        case _:
            return (
                " Only whole numbers, float to double and decimal with more digits can be widened."
            )


def _holds(declared: pa.Field, existing: pa.Field) -> bool:
    """Tell whether the declared column is wider than the existing one, and holds all it has."""
    if declared.nullable != existing.nullable or declared.type == existing.type:
        return False
    try:
        wide, narrow = (arrow_types.from_arrow(field.type) for field in (declared, existing))
    except ValueError:
        return False
    match narrow, wide:
        case types.Primitive.FLOAT, types.Primitive.DOUBLE:
            return True
        case types.Primitive(), types.Primitive() if narrow in _WHOLE and wide in _WHOLE:
            return _WHOLE.index(wide) > _WHOLE.index(narrow)
        case types.Decimal(), types.Decimal():
            whole = wide.precision - wide.scale >= narrow.precision - narrow.scale
            return whole and wide.scale >= narrow.scale
        case _:
            return False


def _described(field: pa.Field) -> str:
    return type_name(field.type) + ("" if field.nullable else " not null")


def type_name(kind: pa.DataType) -> str:
    """Return a type as declarations write it."""
    try:
        return str(arrow_types.from_arrow(kind))
    except ValueError:
        return str(kind)
