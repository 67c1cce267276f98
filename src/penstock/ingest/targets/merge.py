"""Rows changed in place: inserts, updates and deletes, by key.

    changes of batch N ─fold─▶ one a key ─judge─▶ ─1─▶ tombstones + N   (where any was deleted)
                                  ▲               ─2─▶ one MERGE: touched files rewritten + N
                                  ├── deletes remembered of its keys
                                  └── the rows there, where a change tells only a part of its row

Guarantee: after any batches, in whatever order and with whatever repeats their changes came, and
after a kill at any point, the table's rows are what the changes come to when applied one by one in
their order (`folding`), as long as none is later than the tombstones are kept. Never rewrites a file
that holds no key of the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pyarrow as pa
from pyarrow import compute

from penstock.errors import Refused
from penstock.ingest import changes, changes_former, delta, folding, ledger, merging, merging_sql
from penstock.ingest.changes import BEHIND
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome, Target
from penstock.ingest.tombstones import FormerRows, Tombstones
from penstock.model import tables

__all__ = ["MergeTarget", "open_merge"]


_BATCHES = 100
_NEAR = 0.5


def _now() -> datetime:
    return datetime.now(UTC)


class MergeTarget:
    """A merged table, copy-on-write; see `Target`.

    Attributes:
        app_id: whose numbers the batches are.
        lake: the Delta table.
        folder: how changes are folded.
        tombstones: the deletes that are remembered.
        former: rows that are about to have another key.
    """

    def __init__(
        self,
        table: tables.Table,
        place: Location,
        schema: pa.Schema,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """Open the table, and make it when there is none.

        Args:
            table: the declaration.
            place: where it is.
            schema: of the changes that will come.
            clock: gives the time, with a zone.

        Raises:
            Refused: when the table there is not what is declared.
            NotReady: when the storage fails.
        """
        self.app_id = ledger.app_id(table)
        self._truncations = table.merge.truncation
        self._ident = table.ident
        key, marks = table.merge.primary_key, changes.marks(table)
        self.folder = folding.Folder(primary_key=key, marks=marks)
        self.lake = merging.open_keyed(
            place,
            changes.lake_schema(schema),
            primary_key=key,
            marks=marks,
            partition_by=table.partition_by,
            configuration=delta.properties(table.compaction, change_feed=table.change_feed),
            policy=table.evolution,
            app_id=self.app_id,
        )
        self.schema = changes.changes_schema(self.lake.schema)
        self.tombstones = Tombstones(table, place, self.schema, clock=clock)
        self.former = FormerRows(table, place, self.schema, clock=clock)
        self._bounds: deque[dict[str, merging.Bounds]] = deque(maxlen=_BATCHES)
        self._has_behind = self.lake.has_behind

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log."""
        return self.lake.last(self.app_id)

    @property
    def rows(self) -> int:
        """Return how many rows the table has."""
        return self.lake.rows

    @property
    def files(self) -> int:
        """Return how many files hold them."""
        return self.lake.files

    def refresh(self) -> None:
        """Look at the newest version, and at what another writer has remembered beside it."""
        version = self.lake.version
        self.lake.refresh()
        if self.lake.version != version:
            self.tombstones.refresh()
            self.former.refresh()
            self._has_behind = self.lake.has_behind

    def commit(self, number: int, rows: pa.Table) -> Outcome:
        """Change the rows and write the batch's number as one; see `Target.commit`.

        Raises:
            Refused: when the source's table was truncated and the declaration says to stop then.
        """
        rows = self.moved(number, self.checked(rows))
        truncated = self.truncation(rows)
        folded = self.judged(rows, truncated)
        self.record(number, pa.concat_tables([folded, truncated]))
        return self.apply(folded, number=number, truncated=truncated)

    def record(self, number: int, folded: pa.Table) -> None:
        """Remember the deletes of a batch, then look at the newest version.

        A writer beside this one commits first and looks for deletes after it: so either it finds
        these, or what it wrote is found here.
        """
        self.tombstones.record(number, folded)
        self.refresh()

    def checked(self, rows: pa.Table) -> pa.Table:
        """Return the changes with exactly the columns that they are folded with."""
        return rows.select(self.schema.names).cast(self.schema)

    def moved(
        self,
        number: int,
        rows: pa.Table,
        *,
        logged: Callable[[pa.Table], pa.Table] | None = None,
    ) -> pa.Table:
        """Return the changes, those of a new key with what stands under their former key.

        Args:
            number: of the batch.
            rows: its changes.
            logged: finds the changes of keys that are not in the table yet.
        """
        come = changes_former.former_keys(rows, self.lake.primary_key)
        if come.num_rows:
            history = pa.concat_tables([self._known(come, logged), self.former.of(come)])
            rows = changes_former.fill(rows, history, folder=self.folder)
        gone = changes_former.gone_keys(rows, self.lake.primary_key)
        if gone.num_rows:
            states = changes_former.before(rows, gone, self._known(gone, logged), self.folder)
            self.former.record(number, states.select(self.schema.names))
        return rows

    def _known(self, keys: pa.Table, logged: Callable[[pa.Table], pa.Table] | None) -> pa.Table:
        """Return the rows of the keys, and their changes that are not in the table yet."""
        known = changes.of_rows(self.lake.matching(keys)).select(self.schema.names)
        return pa.concat_tables([known, logged(keys)]) if logged else known

    def truncation(self, rows: pa.Table) -> pa.Table:
        """Return the newest truncation among a batch's changes that is to be applied.

        Raises:
            Refused: when there is one and the declaration says to stop.
        """
        found = folding.truncation(rows)
        if not found.num_rows or self._truncations is tables.Truncation.IGNORE:
            return self.schema.empty_table()
        if self._truncations is tables.Truncation.STOP:
            raise Refused(
                f"table {self._ident} stopped: its source was emptied (TRUNCATE) at "
                f"{found[changes.TIME][0].as_py()}. Declare truncation: apply to empty this "
                "table as well, or ignore to keep its rows."
            )
        return found

    def judged(self, rows: pa.Table, truncated: pa.Table) -> pa.Table:
        """Fold a batch's changes with the deletes that are remembered of their keys."""
        folded = self.folder.fold(rows)
        known = folding.truncation(pa.concat_tables([self.tombstones.truncation, truncated]))
        folded = folding.after(folded, known)
        deletes = self.tombstones.of(folded)
        if not deletes.num_rows:
            return folded
        return self.folder.fold(pa.concat_tables([deletes, folded]))

    def apply(self, folded: pa.Table, *, number: int, truncated: pa.Table | None = None) -> Outcome:
        """Merge folded changes into the table, with the batch's number.

        Args:
            folded: one change a key.
            number: of the batch; 0 commits none.
            truncated: the truncation that empties the table of older rows first.
        """
        standing = self._standing(folded)
        if standing.num_rows:
            folded = self.folder.fold(pa.concat_tables([standing, folded]))
        if folded.num_rows:
            self.remember({key: _bounds(folded[key]) for key in self.lake.primary_key})
        merged = changes.to_rows(folded, self.lake.schema)
        outcome = self.lake.merge(
            merged.combine_chunks(),
            app_id=self.app_id if number else "",
            number=number,
            emptied=merging_sql.older(truncated) if truncated and truncated.num_rows else "",
        )
        self._has_behind |= merged[BEHIND].null_count < merged.num_rows
        return outcome

    def mark(self, number: int) -> None:
        """Write the batch's number alone."""
        self.lake.append(self.lake.schema.empty_table(), app_id=self.app_id, number=number)

    def tidy(self) -> Outcome:
        """Join small files, keep the table sorted by key, and forget old deletes."""
        self.tombstones.tidy()
        self.former.tidy()
        # Sorting spares nothing where every batch has keys from one end of the table to the other.
        key = self.lake.sorted_by
        bounds = [batch[key] for batch in self._bounds]
        near = bool(bounds) and self.lake.spread(bounds) < _NEAR
        return self.lake.tidy_by_key(sort=near)

    def remember(self, bounds: Mapping[str, merging.Bounds]) -> None:
        """Take note of the smallest and largest key of a batch, by column: `tidy` sorts by them."""
        self._bounds.append(dict(bounds))

    def _standing(self, folded: pa.Table) -> pa.Table:
        """Return the table's rows that changes must be folded with, as changes.

        A change that tells its whole row needs none: the merge compares the marks itself. A row
        is needed where a change tells a part only, and where a part of the row is older than it.
        """
        found = [self.schema.empty_table()]
        partial = folded.filter(changes.in_part(folded))
        if partial.num_rows:
            found.append(changes.of_rows(self.lake.matching(partial)))
        if self._has_behind:
            late = merging_sql.may_be_newer(folded, self.lake.marks)
            parts = f"{merging_sql.quoted(BEHIND)} IS NOT NULL"
            where = f"{parts} AND {late}" if late else parts
            found.append(changes.of_rows(self.lake.matching(folded, where=where)))
        return pa.concat_tables(found).select(self.schema.names)


def _bounds(keys: pa.ChunkedArray) -> merging.Bounds:
    found = compute.min_max(keys).as_py()
    return found["min"], found["max"]


def open_merge(
    table: tables.Table, place: Location, schema: pa.Schema, *, clock: Callable[[], datetime] = _now
) -> Target:
    """Open a merged table by the strategy that is declared, or that suits it; see `MergeTarget`."""
    from penstock.ingest.targets import strategies  # noqa: PLC0415 - it knows both ways, and this is one

    return strategies.chosen(table, MergeTarget(table, place, schema, clock=clock), clock=clock)
