"""The engine inside the ingest process: Arrow throughout, written by delta-rs.

    plan N + RAW ─Pipeline─▶ rows, letters ─1─▶ dead letters, txn N      (only where there are any)
                                           ─2─▶ Target.commit(N, rows)

Guarantee: as `engines` says. Before anything is written the table is looked at once more: a process
that was stopped for long, and whose batch others have run since, is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pyarrow as pa

from penstock.errors import Conflict
from penstock.ingest import letters
from penstock.ingest.engines import Report, spoiled
from penstock.ingest.ledger import BatchPlan, Kind
from penstock.ingest.locations import Location
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.plan import Gap, Tally
from penstock.ingest.records import RAW
from penstock.ingest.targets import Outcome, open_target
from penstock.model import tables

__all__ = ["EmbeddedEngine"]


class EmbeddedEngine:
    """Runs batches that it is given the records of; see `Engine`."""

    def __init__(
        self,
        table: tables.Table,
        place: Location,
        *,
        letters_place: Location,
        tally: Tally,
        clock: Callable[[], datetime],
    ) -> None:
        """Open the table, and make it when there is none.

        Args:
            table: the declaration.
            place: where it is.
            letters_place: where its dead letters are.
            tally: counts poison, and says when it is too much.
            clock: gives the time at which letters are found.

        Raises:
            ConfigError: when the declaration cannot work.
            Refused: when what is there is not what is declared.
            NotReady: when the storage or the schema registry fails.
        """
        self._table = table
        self._pipeline = Pipeline(table)
        self._target = open_target(table, place, self._pipeline.schema)
        self._letters = letters.DeadLetters(table, letters_place, clock=clock)
        self._tally = tally
        self.record_ids = self._pipeline.record_ids

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log."""
        return self._target.last

    @property
    def rows(self) -> int:
        """Return how many rows the table has."""
        return self._target.rows

    @property
    def files(self) -> int:
        """Return how many files hold them."""
        return self._target.files

    def run(self, plan: BatchPlan, raw: pa.Table | None, *, lost: Sequence[Gap] = ()) -> Report:
        """Make the batch's records rows and letters; see `Engine.run`."""
        made = self._pipeline.transform(RAW.empty_table() if raw is None else raw)
        records = raw.num_rows if raw is not None else 0
        replay = plan.kind is Kind.REPLAY
        tally = self._tally.add(records=records, poison=made.letters.num_rows)
        if tally.spoiled and not replay:
            raise spoiled(self._table, tally, made.letters)
        self._target.refresh()
        if self._target.last != plan.number - 1:
            raise Conflict(
                f"batch {plan.number} of table {self._table.ident} is not the next one: another "
                "process has moved the table on. This one goes on from where it is."
            )
        if not replay:
            self._letters.write(
                plan.number, pa.concat_tables([letters.of_gaps(plan.gaps), made.letters])
            )
            self._letters.write(plan.number, letters.of_gaps(lost), late=True)
            self._tally = tally
        outcome = self._target.commit(plan.number, made.rows)
        if replay and raw is not None:
            self._letters.remove(_without(raw, made.letters))
        return Report(records=records, letters=made.letters.num_rows, outcome=outcome)

    def settle(self, raw: pa.Table) -> None:
        """Take the letters away that a committed replay has made rows of; may be repeated.

        Raises:
            Conflict: when another process has written letters at the same moment.
            NotReady: when the storage fails; ask again.
        """
        self._letters.remove(_without(raw, self._pipeline.transform(raw).letters))

    def tidy(self) -> Outcome:
        """Join small files and delete those nobody needs any more, of the letters as well."""
        self._letters.tidy()
        return self._target.tidy()

    def close(self) -> None:
        """Hold nothing."""


def _without(raw: pa.Table, found: pa.Table) -> pa.Table:
    """Return the origins of the records that are not among the letters."""
    origins = found.select(letters.ORIGIN)
    return raw.select(letters.ORIGIN).join(origins, keys=letters.ORIGIN, join_type="left anti")
