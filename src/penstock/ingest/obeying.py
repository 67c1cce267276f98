"""Orders carried out: what a person asked of a table, done by the process that runs it.

    reset ─▶ plan N + 1: no records, other positions        replay ─▶ letters ─▶ plans N + 1 … ─▶ rows
    compact ─▶ tidy

Guarantee: a reset moves the table once, and a letter that is replayed is a row once, however often
the process is killed meanwhile: both are batches with a plan. Letters that still cannot be rows stay
as they are; a replay that was killed tries them once more. Memory is bounded by a slice of letters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from penstock.ingest import letters
from penstock.ingest.engines.embedded import EmbeddedEngine
from penstock.ingest.landing import Committing
from penstock.ingest.ledger import BatchPlan, Kind, Ledger
from penstock.ingest.locations import Location
from penstock.ingest.orders import Kind as Asked
from penstock.ingest.orders import Order, Orders
from penstock.ingest.plan import Positions
from penstock.ingest.progress import Progress
from penstock.ingest.records import RAW

__all__ = ["Obeying", "settle"]

_SLICE_ROWS = 50_000
_SLICE_BYTES = 64 * 2**20
"""Letters replayed as one batch: so many, or about so many bytes."""


class Obeying:
    """Carries out the orders of one table."""

    def __init__(
        self,
        orders: Orders,
        committing: Committing,
        *,
        letters_place: Location,
        at_time: Callable[[int], Positions],
        replayer: Callable[[], EmbeddedEngine],
    ) -> None:
        """Take what it needs.

        Args:
            orders: of the table.
            committing: its batches.
            letters_place: where its dead letters are.
            at_time: gives the positions of a time, ms since 1970.
            replayer: opens an engine that takes records it is given.
        """
        self._orders = orders
        self._committing = committing
        self._letters_place = letters_place
        self._at_time = at_time
        self._replayer = replayer

    def carry_out(self, order: Order, progress: Progress) -> Progress:
        """Do what is asked, and take the order away. The table is to be opened anew after it.

        Raises:
            PenstockError: when it cannot be done now; the order stays.
        """
        match order.kind:
            case Asked.COMPACT:
                self._committing.engine.tidy()
            case Asked.RESET if order.without:
                pass  # no planned batch waits for that cluster: there is nothing to give up
            case Asked.RESET:
                progress = self._reset(order, progress)
            case Asked.REPLAY:
                progress = self._replay(progress)
            case _:
                assert_never(order.kind)
        self._orders.done(order)
        return progress

    def _reset(self, order: Order, progress: Progress) -> Progress:
        standing = self._committing.positions
        batch = BatchPlan(
            number=self._committing.engine.last + 1,
            begin=standing,
            end={**standing, **self._at_time(order.timestamp_ms)},
            kind=Kind.RESET,
            request=order.name,
        )
        return self._committing.commit(batch, RAW.empty_table(), progress)

    def _replay(self, progress: Progress) -> Progress:
        engine = self._replayer()
        self._committing.engine, former = engine, self._committing.engine
        slices = letters.slices(self._letters_place, rows=_SLICE_ROWS, size_bytes=_SLICE_BYTES)
        try:
            for which, raw in slices:
                if not raw.num_rows:
                    continue
                batch = BatchPlan(
                    number=engine.last + 1,
                    begin=self._committing.positions,
                    end=self._committing.positions,
                    kind=Kind.REPLAY,
                    letters=which,
                )
                progress = self._committing.commit(batch, raw, progress)
        finally:
            self._committing.engine = former
        return progress


def settle(
    last: int,
    ledger: Ledger,
    orders: Orders,
    replayer: Callable[[], EmbeddedEngine],
    *,
    letters_place: Location,
) -> None:
    """Finish what a kill left after the last batch: letters of a replay, and the order of a batch.

    Args:
        last: number of the last batch.
        ledger: of the table.
        orders: of the table.
        replayer: opens an engine that takes records it is given.
        letters_place: where its dead letters are.

    Raises:
        PenstockError: when it cannot be done now.
    """
    batch = ledger.read(last) if last else None
    if batch is None or batch.kind is Kind.RUN:
        return
    _, waiting = orders.look()
    if batch.kind is Kind.REPLAY and any(order.kind is Asked.REPLAY for order in waiting):
        replayer().settle(letters.replayed(letters_place, batch.letters))
    for order in waiting:
        if order.name == batch.request:
            orders.done(order)
