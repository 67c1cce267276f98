"""Changes appended beside the table, and folded into it now and then.

    changes of batch N ─fold─▶ ─1─▶ log + N       (<table>/_penstock/changes)
                               ─2─▶ table + N     (no rows: its log says where it stands)
    log ─when it is large or old─▶ ─1─▶ tombstones ─2─▶ MERGE ─3─▶ log emptied

A commit costs what it appends, whatever the table's size; readers that want the newest rows read
both (`fresh`). Guarantee: `merge.MergeTarget`'s, of the table and its log together. A fold may be
stopped at any point and begun again: what is in the table already is not newer than itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes, delta, folding, merging, merging_sql
from penstock.ingest.changes import ABSENT, BEHIND, CONTROL, OPERATION, Operation
from penstock.ingest.fresh import BATCH, LOG
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome
from penstock.ingest.targets.merge import MergeTarget
from penstock.model import tables

__all__ = ["ChangeLogTarget", "Due"]

_log = logging.getLogger(__name__)

_KEPT = (OPERATION, changes.SEQUENCE, changes.TIME, changes.OFFSET, ABSENT, BEHIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When the log is folded into the table.

    Attributes:
        rows: when it has so many: a fold holds them in memory.
        age: when its oldest change is so old: so old are the rows of the table alone at most.
    """

    rows: int = 1_000_000
    age: timedelta = timedelta(minutes=10)


_DEFAULT = Due()


class ChangeLogTarget:
    """A merged table with a log of changes; see `Target`.

    Attributes:
        base: the table without the log.
        log: the changes that are not folded in.
    """

    def __init__(
        self, base: MergeTarget, *, due: Due = _DEFAULT, clock: Callable[[], datetime]
    ) -> None:
        """Open the log of the table, and make it when there is none."""
        self.base = base
        self._app_id = base.app_id
        self._due = due
        self._clock = clock
        own = [base.schema.field(name) for name in changes.values_of(base.schema)]
        kept = [CONTROL.field(name) for name in _KEPT]
        self.log = merging.open_keyed(
            base.lake.place.child(LOG),
            pa.schema([*own, *kept, pa.field(BATCH, pa.int64())]),
            primary_key=base.lake.primary_key,
            marks=base.lake.marks,
            policy=tables.Evolution.WIDEN,
            app_id=self._app_id,
        )
        self._begun_at = clock() if self.log.rows else None

    @staticmethod
    def is_at(place: Location) -> bool:
        """Tell whether the table has a log, which may be empty."""
        return delta.read_table(place.child(LOG)) is not None

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log."""
        return self.base.last

    @property
    def rows(self) -> int:
        """Return how many rows the table has, without those that are in the log alone."""
        return self.base.rows

    @property
    def files(self) -> int:
        """Return how many files hold the rows and the changes."""
        return self.base.files + self.log.files

    def refresh(self) -> None:
        """Look at the newest version; of the log first, as what is folded in between is in both."""
        self.log.refresh()
        self.base.refresh()
        self._begun_at = (self._begun_at or self._clock()) if self.log.rows else None

    def commit(self, number: int, rows: pa.Table) -> Outcome:
        """Append the changes and write the batch's number; see `Target.commit`."""
        rows = self.base.moved(number, self.base.checked(rows), logged=self._logged)
        truncated = self.base.truncation(rows)
        if truncated.num_rows:
            # What the log holds is older or newer than the truncation: the table knows which.
            self.fold()
            return self.base.commit(number, rows)
        folded = self._with_logged(self.base.judged(rows, truncated))
        self._append(number, folded)
        self.base.mark(number)
        if self._is_due():
            self.fold()
        deleted = compute.sum(compute.equal(folded[OPERATION], Operation.DELETE.value)).as_py() or 0
        return Outcome(updated=folded.num_rows - deleted, deleted=deleted, files_added=1)

    def fold(self) -> Outcome:
        """Merge the log into the table, and empty it; does nothing when it is empty."""
        if not self.log.rows:
            return Outcome()
        logged = pa.concat_tables([self.log.schema.empty_table(), *self.log.read()])
        folded = self.base.folder.fold(self._as_changes(logged))
        folded = folding.after(folded, self.base.tombstones.truncation)
        self.base.record(0, folded)
        outcome = self.base.apply(folded, number=0)
        # Only the files that were read: others may have been added by a process that took over.
        self.log.clear()
        self._begun_at = None
        _log.info("folded %d changes into %s: %s", folded.num_rows, self.base.lake.place, outcome)
        return outcome

    def tidy(self) -> Outcome:
        """Join the log's small files, fold it where that is due, and tidy the table."""
        if self._is_due():
            self.fold()
        self.log.tidy()
        return self.base.tidy()

    def _append(self, number: int, folded: pa.Table) -> None:
        if number <= self.log.last(self._app_id):
            return
        batch = pa.repeat(pa.scalar(number, pa.int64()), folded.num_rows)
        rows = folded.append_column(BATCH, batch).select(self.log.schema.names)
        self.log.append(rows.combine_chunks(), app_id=self._app_id, number=number)
        self._begun_at = self._begun_at or self._clock()

    def _with_logged(self, folded: pa.Table) -> pa.Table:
        """Fold with the log's own changes, so that a key's newest entry says all that the log knows."""
        partial = compute.any(changes.in_part(folded)).as_py()
        if not self.log.rows or not (partial or self.log.has_behind):
            return folded
        late = merging_sql.may_be_newer(folded, self.log.marks)
        where = "" if partial else late
        logged = self._as_changes(self.log.matching(folded, where=where))
        return self.base.folder.fold(pa.concat_tables([logged, folded]))

    def _logged(self, keys: pa.Table) -> pa.Table:
        return self._as_changes(self.log.matching(keys))

    def _as_changes(self, logged: pa.Table) -> pa.Table:
        found = changes.of_rows(logged.drop_columns(BATCH))
        return found.select(self.base.schema.names).cast(self.base.schema)

    def _is_due(self) -> bool:
        aged = self._begun_at is not None and self._clock() - self._begun_at >= self._due.age
        return self.log.rows >= self._due.rows or (aged and self.log.rows > 0)
