"""What carries planned batches out: one family, one member an engine.

    BatchPlan N (written) + its records ─Engine.run─▶ letters, txn N ─▶ rows, txn N ─▶ Report

Guarantee of every member: after a kill anywhere, the same plan run again gives each of its records
one row or one letter. An engine that reads by itself reads exactly the plan's ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from penstock.errors import DataError
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.plan import Gap, Positions, Tally
from penstock.ingest.targets import Outcome
from penstock.model import tables

__all__ = ["Engine", "ReadingEngine", "Report", "spoiled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one batch.

    Attributes:
        records: how many it had.
        letters: how many of them are dead letters; gaps not counted.
        outcome: what the commit did to the table.
    """

    records: int
    letters: int
    outcome: Outcome


class Engine(Protocol):
    """Carries out the batches of one table.

    Attributes:
        record_ids: whether it needs the records' ids.
    """

    record_ids: bool

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log, 0 for none."""

    @property
    def rows(self) -> int:
        """Return how many rows the table has, as far as its log tells."""

    @property
    def files(self) -> int:
        """Return how many files hold them."""

    def run(self, plan: BatchPlan, raw: pa.Table | None, *, lost: Sequence[Gap] = ()) -> Report:
        """Carry the plan out.

        Args:
            plan: written to the ledger; its number is one above `last`.
            raw: its records, as `records.RAW`; None for an engine that reads by itself.
            lost: gaps that were found only now that the plan is run again.

        Raises:
            Conflict: when another process has moved the table on.
            DataError: when too much is poison; nothing of the batch was written.
            NotReady: when the storage or a cluster fails; the plan is to be run again.
            Refused: when the table is not what is declared.
        """

    def tidy(self) -> Outcome:
        """Join small files and delete those nobody needs any more."""

    def close(self) -> None:
        """Let go of what it holds."""


@runtime_checkable
class ReadingEngine(Engine, Protocol):
    """An engine that reads the records of a plan by itself: it is given none."""

    @property
    def trouble(self) -> str:
        """Return why a cluster could not be looked at; empty when all answer."""

    def next_plan(self, number: int, standing: Positions) -> BatchPlan | None:
        """Cut the next batch from what the clusters have; None when there is nothing new."""

    def lag(self, positions: Positions) -> int:
        """Return how many offsets lie between the positions and the newest records."""


def spoiled(table: tables.Table, tally: Tally, found: pa.Table) -> DataError:
    """Return what an engine raises when too much is poison.

    Args:
        table: the declaration.
        tally: with the batch counted in.
        found: the batch's letters, as `letters.FOUND`; at least one.
    """
    example = found.slice(found.num_rows - 1).to_pylist()[0]
    return DataError(
        f"table {table.ident} stopped: {tally.poison} of the latest {tally.records} records cannot "
        f"be read by its declaration, more than the {tally.ratio:.3g} it bears, e.g. "
        f"{example['reason']}. Correct the table's columns, or raise its dead-letters.max-ratio to "
        "take such records for dead letters; once applied, it goes on where it stopped.",
        origin="{cluster}/{topic}/{partition}/{offset}".format(**example),
    )
