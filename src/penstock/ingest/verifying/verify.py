"""Compares a whole table with its source, as often as it takes to judge every row.

    snapshot + mark ─▶ wait until the table has all up to the mark ─▶ each range compared
            ▲                                                              │
            └──── ranges that differ, or that move: again, a later mark ◀──┘

A row is wrong only when it was wrong in every round, key by key: a transaction that was open across a
mark looks wrong once, and under a steady load another one does in each round. A row that moved in
one round stands still in another, unless it changes all the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from penstock.ingest.verifying import compare, postgres
from penstock.ingest.verifying.compare import Range, Verdict
from penstock.ingest.verifying.lake import Lake
from penstock.ingest.verifying.postgres import Bounds

__all__ = ["Source", "verify"]

_RANGE_ROWS = 100_000
_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a table comes from.

    Attributes:
        url: of the database, as libpq takes it.
        table: ``schema.table``.
        reach: returns once the lake's table has every change of the source up to the mark; raises
            `NotReady` when that takes too long.
    """

    url: str
    table: str
    reach: Callable[[int], None]


def verify(
    source: Source,
    lake: Lake,
    *,
    range_rows: int = _RANGE_ROWS,
    rounds: int = _ROUNDS,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Verdict:
    """Compare every row.

    Args:
        source: the database's side.
        lake: the table's side.
        range_rows: rows of a key range, which is what is held in memory of each side.
        rounds: how often a range is looked at before what was wrong each time is believed.
        progress: told of ranges compared, and of how many there are in the round.

    Raises:
        NotReady: when a side cannot be read, or the table does not get as far as the mark.
        ConfigError: when the source has no such table or columns.
    """
    columns = lake.columns()
    key = lake.table.merge.primary_key
    judged: dict[Bounds, Range] = {}
    pending: dict[Bounds, pa.Table | None] = {}
    rows = done = 0
    while done < rounds and (pending or not done):
        with postgres.opened(source.url, source.table, columns=columns, key=key) as snapshot:
            source.reach(snapshot.mark)
            rows = snapshot.rows
            chosen = pending or dict.fromkeys(snapshot.bounds(range_rows=range_rows))
            wrong = {}
            for number, (bounds, suspects) in enumerate(chosen.items(), start=1):
                judged[bounds], wrong[bounds] = compare.compare(
                    snapshot.read(bounds),
                    lake.read(bounds, columns),
                    key=key,
                    mark=snapshot.mark,
                    forgotten=lake.forgotten(bounds, columns),
                    suspects=suspects,
                )
                progress(number, len(chosen))
        pending = {bounds: keys for bounds, keys in wrong.items() if not judged[bounds].equal}
        done += 1
    return Verdict(
        equal=not pending,
        rows=rows,
        ranges=tuple(judged.values()),
        moving=sum(each.moving for each in judged.values()),
        rounds=done,
        faults=tuple(fault for bounds in pending for fault in judged[bounds].faults),
    )
