"""When a table has every change of its source up to a mark.

    slot confirmed past the mark ─▶ end offsets of the topic ─▶ the table's positions past these

The slot's confirmed place says that the connector has everything up to there in Kafka. A quiet
database writes nothing a connector could confirm: then it is enough that both the slot and the topic
have stood still for a while, with the connector there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock.errors import NotReady
from penstock.ingest import delta, ledger
from penstock.ingest.ledger import Ledger
from penstock.ingest.locations import Location
from penstock.ingest.plan import Partition, Positions
from penstock.kafka import ends
from penstock.kafka.admin import Admin
from penstock.model import tables

__all__ = ["Reach", "partition_ends", "standing", "wait_past"]

_POLL_S = 0.1
_CALM_S = 3.0

Ends = Callable[[], Mapping[Partition, int]]
"""Gives the offset after the last, of each partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Waits until a table is as far as its source database was.

    Attributes:
        url: of the source database.
        slot: the connector's replication slot.
        ends: of the topic's partitions, now.
        standing: where the table stands, now.
        within_s: after which it gives up.
    """

    url: str
    slot: str
    ends: Ends
    standing: Ends
    within_s: float = 120.0

    def __call__(self, mark: int) -> None:
        """Return once the table has every change up to the mark.

        Raises:
            NotReady: when it does not get there in time, with what is behind.
        """
        deadline = time.monotonic() + self.within_s
        self._wait_confirmed(mark, deadline)
        wait_past(self.ends(), standing=self.standing, deadline=deadline, within_s=self.within_s)

    def _wait_confirmed(self, mark: int, deadline: float) -> None:
        from penstock.ingest.verifying import postgres  # noqa: PLC0415 - an extra: topics do without

        seen: tuple[int, int] | None = None
        calm_since = time.monotonic()
        while time.monotonic() - calm_since < _CALM_S:
            confirmed, active = postgres.confirmed(self.url, self.slot)
            if confirmed >= mark:
                return
            now = confirmed, sum(self.ends().values())
            if now != seen or not active:
                seen, calm_since = now, time.monotonic()
            if time.monotonic() > deadline:
                raise NotReady(
                    f"the connector did not confirm the source's place {mark} within "
                    f"{self.within_s:g} s; slot {self.slot!r} is at {confirmed}. See penstock connector "
                    "status; then try again."
                )
            time.sleep(_POLL_S)


def wait_past(
    wanted: Positions,
    *,
    standing: Ends,
    deadline: float,
    within_s: float,
    records: Callable[[Positions, Positions], bool] = lambda _begin, _end: True,
) -> None:
    """Return once a table has every record before the offsets.

    Args:
        wanted: by partition.
        standing: where the table stands, now; a partition it never read stands at 0.
        deadline: of the monotonic clock, after which it gives up.
        within_s: how long that is, to be told.
        records: tells whether there is any record between positions that the table does not
            reach: the last offsets of a partition may be markers of transactions.

    Raises:
        NotReady: when it does not get there in time, with how much is behind.
    """
    seen, calm_since = standing(), time.monotonic()
    while behind := _behind(wanted, seen):
        now = time.monotonic()
        if now > deadline:
            raise NotReady(
                f"the table did not get as far as its source within {within_s:g} s: {behind} "
                "records are still to come. See penstock table status; then try again."
            )
        if now - calm_since > _CALM_S:
            begin = {p: seen.get(p, 0) for p, end in wanted.items() if end > seen.get(p, 0)}
            if not records(begin, wanted):
                return
            calm_since = now
        time.sleep(_POLL_S)
        newest = standing()
        if newest != seen:
            seen, calm_since = newest, now


def partition_ends(admin: Admin, topic: str) -> Mapping[Partition, int]:
    """Return the end offset of each partition of a topic on one cluster.

    Raises:
        NotReady: when the cluster does not answer.
    """
    return {
        Partition(cluster=admin.cluster, topic=topic, number=number): end
        for number, end in ends.end_offsets(admin, topic).items()
    }


def standing(table: tables.Table, place: Location) -> Mapping[Partition, int]:
    """Return where a table stands: the next offset of each partition it has read.

    Raises:
        NotReady: when there is no table yet, or the storage fails.
    """
    lake = delta.read_table(place)
    if lake is None:
        return {}
    return Ledger(place).standing(lake.last(ledger.app_id(table)))


def _behind(wanted: Mapping[Partition, int], standing: Mapping[Partition, int]) -> int:
    return sum(max(0, end - standing.get(partition, 0)) for partition, end in wanted.items())
