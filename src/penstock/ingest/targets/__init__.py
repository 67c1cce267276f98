"""Where rows go: one family, one member a way of writing.

    rows of batch N ─Target.commit(N, rows)─▶ rows and N, one Delta commit

Guarantee of every member: the rows of a batch are in the table exactly when its number is in the
table's own log, and a number that is there already is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, assert_never

import pyarrow as pa

from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = ["Outcome", "Target", "open_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a commit did to the table."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    files_added: int = 0
    files_removed: int = 0


class Target(Protocol):
    """A Delta table that takes batches, as of the version this process has last seen."""

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log, 0 for none."""

    @property
    def rows(self) -> int:
        """Return how many rows the table has, as far as its log tells."""

    @property
    def files(self) -> int:
        """Return how many files hold them."""

    def refresh(self) -> None:
        """Look at the newest version.

        Raises:
            NotReady: when the storage fails.
        """

    def commit(self, number: int, rows: pa.Table) -> Outcome:
        """Write the rows and the batch's number as one.

        Args:
            number: of the batch; one above `last`.
            rows: as the table's `Pipeline.schema`; may be none.

        Raises:
            Conflict: when another process has moved the table on; nothing was written.
            NotReady: when the storage failed; whether the commit is in the log is not known.
            Refused: when the table is not what is declared.
        """

    def tidy(self) -> Outcome:
        """Join small files and delete those nobody needs any more; adds and removes no row.

        Raises:
            NotReady: when the storage fails.
        """


def open_target(table: tables.Table, place: Location, schema: pa.Schema) -> Target:
    """Open the table, and make it when there is none.

    Args:
        table: the declaration.
        place: where it is.
        schema: of the rows that will come.

    Raises:
        Refused: when the table there is not what is declared.
        NotReady: when the storage fails.
    """
    match table.mode:
        case tables.TableMode.APPEND:
            from penstock.ingest.targets import append  # noqa: PLC0415 - each way by itself

            return append.AppendTarget(table, place, schema)
        case tables.TableMode.MERGE | tables.TableMode.MERGE_CDC:
            from penstock.ingest.targets import merge  # noqa: PLC0415

            return merge.open_merge(table, place, schema)
        case _:
            assert_never(table.mode)
