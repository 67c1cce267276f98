"""A table's newest rows, for people to look at.

append ─▶ the files written last       merged ─▶ current rows: base and log, the newest by time
"""

from __future__ import annotations

import pyarrow as pa

from penstock.ingest import changes, delta, fresh
from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = ["newest"]


def newest(
    table: tables.Table, place: Location, count: int, *, order_by: str
) -> tuple[pa.Table, int] | None:
    """Return the newest rows, newest last, and how many there are; None when there is no table.

    Args:
        table: the declaration.
        place: where it is.
        count: at most so many.
        order_by: a column that tells how new a row of an append table is; empty for none.

    Raises:
        NotReady: when the storage fails.
    """
    lake = delta.read_table(place)
    if lake is None:
        return None
    if table.mode is tables.TableMode.APPEND:
        return lake.newest(count, order_by=order_by), lake.rows
    total = 0
    found: pa.Table | None = None
    for piece in fresh.read_fresh(table, place):
        total += piece.num_rows
        both = piece if found is None else pa.concat_tables([found, piece])
        both = both.sort_by([(changes.TIME, "ascending"), (changes.OFFSET, "ascending")])
        found = both.slice(max(0, both.num_rows - count))
    return (lake.schema.empty_table() if found is None else found), total
