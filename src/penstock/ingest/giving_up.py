"""What to do about a planned batch when something it was to read is declared no more.

    batch, what is declared ─removed─▶ partitions ─ nobody gave them up ─▶ Blocked, the next step in it
                                                  └ a reset was asked ───▶ gaps, told in dead letters

Pure. The batch keeps its number and what it holds of other clusters: its plan is never replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.errors import NotReady
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.orders import Kind, Order
from penstock.ingest.plan import Gap, Partition, Source
from penstock.model import tables

__all__ = ["Blocked", "blocked", "gaps", "given_up", "removed"]


class Blocked(NotReady):
    """The table stands still until a person decides; what is decided is looked for now and then."""


def removed(batch: BatchPlan, sources: Iterable[Source]) -> tuple[Partition, ...]:
    """Return what the batch is to read of topics that the table is not fed by any more."""
    declared = {(source.cluster, source.topic) for source in sources}
    return tuple(p for p in sorted(batch.ranges) if (p.cluster, p.topic) not in declared)


def given_up(orders: Iterable[Order], partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    """Return those of the partitions that resets give up.

    One to a time gives up whatever blocks the table; one without a cluster gives up that cluster.
    """
    resets = [order.without for order in orders if order.kind is Kind.RESET]
    return tuple(p for p in partitions if "" in resets or p.cluster in resets)


def gaps(batch: BatchPlan, partitions: Iterable[Partition]) -> tuple[Gap, ...]:
    """Return what is given up with the partitions."""
    return tuple(
        Gap(partition=p, first=batch.ranges[p][0], end=batch.ranges[p][1], given_up=True)
        for p in partitions
    )


def blocked(
    table: tables.Table, batch: BatchPlan, partitions: Sequence[Partition], *, why: str
) -> Blocked:
    """Return what stops a table whose batch cannot be read any more."""
    cluster = partitions[0].cluster
    count = sum(batch.ranges[p][1] - batch.ranges[p][0] for p in partitions)
    places = ", ".join(sorted({f"{p.cluster}/{p.topic}" for p in partitions}))
    return Blocked(
        f"table {table.ident} stopped: batch {batch.number} is planned to read {count} records of "
        f"{places}, which its topic is not declared on any more. Declare it again until the batch "
        f"is done, or give them up: penstock table reset {table.name} --without {cluster}. What "
        f"other clusters hold lands either way, each record once. Why these do not come: {why}"
    )
