"""A merged table changed by a second writer, beside the one that runs its topic.

    changes of piece N ─MergeTarget.commit─▶ rows + N ─mend─▶ deletes that came in between

Guarantee: `targets.merge.MergeTarget`'s, beside a live stream that deletes keys meanwhile. A delete
that comes between the look at the tombstones and the commit would let an older row stand; they are
looked at again after each commit, and for the last piece before a kill. Goes into the table itself
whatever the table's strategy is: a log of changes is folded in later, and the newer change wins.
"""

from __future__ import annotations

import pyarrow as pa

from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome
from penstock.ingest.targets.merge import MergeTarget
from penstock.model import tables

__all__ = ["BesideTarget"]


class BesideTarget:
    """A merged table, opened anew for each piece; see `Target`."""

    def __init__(self, table: tables.Table, place: Location, schema: pa.Schema) -> None:
        """Open the table, and make it when there is none.

        Raises:
            Refused: when the table there is not what is declared.
            NotReady: when the storage fails.
        """
        self._table = table
        self._place = place
        self._schema = schema
        self._target = self._opened()

    @property
    def last(self) -> int:
        """Return the number of the last piece in the table's own log."""
        return self._target.last

    @property
    def rows(self) -> int:
        """Return how many rows the table has."""
        return self._target.rows

    @property
    def files(self) -> int:
        """Return how many files hold them."""
        return self._target.files

    def refresh(self) -> None:
        """Look at the newest version, of what is remembered of deleted keys as well."""
        self._target = self._opened()

    def commit(self, number: int, rows: pa.Table) -> Outcome:
        """Merge the changes; see `Target.commit`."""
        outcome = self._target.commit(number, rows)
        self.mend(rows)
        return outcome

    def mend(self, rows: pa.Table) -> None:
        """Take away what of the changes was deleted by changes that are newer; may be repeated.

        Args:
            rows: changes that are in the table.

        Raises:
            Conflict: when another process has committed meanwhile: ask again.
            NotReady: when the storage fails.
        """
        target = self._target = self._opened()
        deletes = target.tombstones.of(target.checked(rows))
        truncated = target.tombstones.truncation
        applied = self._table.merge.truncation is tables.Truncation.APPLY and truncated.num_rows
        if deletes.num_rows or applied:
            folded = target.folder.fold(deletes) if deletes.num_rows else deletes
            target.apply(folded, number=0, truncated=truncated if applied else None)

    def tidy(self) -> Outcome:
        """Join small files and keep the table sorted by key."""
        return self._target.tidy()

    def _opened(self) -> MergeTarget:
        return MergeTarget(self._table, self._place, self._schema)
