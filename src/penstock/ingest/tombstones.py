"""Keys that were deleted, so that a change that comes late brings none of them back.

    deletes of batch N ─record─▶ <table>/_penstock/tombstones + N      changes ─of─▶ deletes of their keys
    a truncation ─record─▶ the same, without a key                     a week later ─forget─▶ gone

A hard delete leaves nothing in the table that a late change could be compared with; this keeps the
key and the marks of the delete for as long as changes may be late. Recorded before the rows go, and
under the batch's number: after a kill between the two the batch finds its own deletes, which change
nothing. Reads only the files that may hold a newer delete than the oldest change asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes, delta, folding, ledger, merging, merging_sql
from penstock.ingest.changes import CONTROL, OPERATION, Operation
from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = ["FormerRows", "Tombstones"]

_RECORDED_AT = "_recorded_at"


class Tombstones:
    """The deleted keys of one table."""

    def __init__(
        self,
        table: tables.Table,
        place: Location,
        schema: pa.Schema,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Open them, and make their table when there is none.

        Args:
            table: the declaration.
            place: of the merged table.
            schema: of changes.
            clock: gives the time, with a zone.
        """
        self._app_id = ledger.app_id(table)
        self._horizon = timedelta(milliseconds=table.merge.tombstones_ms)
        self._clock = clock
        self._schema = schema
        marks = changes.marks(table)
        known = dict.fromkeys([*table.merge.primary_key, *marks])
        self._kept = pa.schema(
            [
                *(schema.field(name).with_nullable(nullable=True) for name in known),
                CONTROL.field(OPERATION),
                pa.field(_RECORDED_AT, pa.timestamp("us", tz="UTC")),
            ]
        )
        self._lake = merging.open_keyed(
            place.child("_penstock/tombstones"),
            self._kept,
            primary_key=table.merge.primary_key,
            marks=marks,
            # What the table's own policy allows has been decided by then.
            policy=tables.Evolution.WIDEN,
            app_id=self._app_id,
        )
        self._truncation = self._read_truncation()

    @property
    def truncation(self) -> pa.Table:
        """Return the newest truncation that is remembered, as a change; no row for none."""
        return self._truncation

    @property
    def rows(self) -> int:
        """Return how many are remembered."""
        return self._lake.rows

    def of(self, rows: pa.Table) -> pa.Table:
        """Return the remembered deletes of the changes' keys, as changes.

        Those that are older than every one of the changes may be left out.
        """
        if not self._lake.rows:
            return rows.schema.empty_table()
        where = merging_sql.may_be_newer(rows, self._lake.marks)
        return self._as_changes(self._lake.matching(rows, where=where))

    def record(self, number: int, rows: pa.Table) -> None:
        """Remember the deletes and truncations among the changes of a batch.

        Does nothing when there are none, or when the batch's are there already. Number 0 is none:
        they are remembered again, which changes nothing.

        Args:
            number: of the batch.
            rows: its changes, folded.
        """
        remembered = pa.array([Operation.DELETE, Operation.TRUNCATE])
        found = rows.filter(compute.is_in(rows[OPERATION], value_set=remembered))
        if not found.num_rows or 0 < number <= self._lake.last(self._app_id):
            return
        at = pa.repeat(pa.scalar(self._clock(), self._kept.field(_RECORDED_AT).type), len(found))
        kept = found.append_column(_RECORDED_AT, at).select(self._kept.names).cast(self._kept)
        if number:
            self._lake.append(kept.combine_chunks(), app_id=self._app_id, number=number)
        else:
            self._lake.add(kept.combine_chunks())
        truncated = folding.truncation(pa.concat_tables([self._truncation, rows]))
        self._truncation = truncated

    def refresh(self) -> None:
        """Look at what another writer has remembered.

        Raises:
            NotReady: when the storage fails.
        """
        version = self._lake.version
        self._lake.refresh()
        if self._lake.version != version:
            self._truncation = self._read_truncation()

    def tidy(self) -> None:
        """Forget what is past the horizon, and join the files of the rest."""
        if not self._lake.rows:
            return
        before = (self._clock() - self._horizon).isoformat()
        self._lake.forget(f"{merging_sql.quoted(_RECORDED_AT)} < '{before}'")
        self._lake.tidy()

    def _read_truncation(self) -> pa.Table:
        empty = self._schema.empty_table()
        if not self._lake.rows:
            return empty
        found = self._lake.read(f"{merging_sql.quoted(OPERATION)} = '{Operation.TRUNCATE.value}'")
        return folding.truncation(pa.concat_tables([empty, *map(self._as_changes, found)]))

    def _as_changes(self, rows: pa.Table) -> pa.Table:
        arrays = [
            rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type)
            for field in self._schema
        ]
        return pa.table(arrays, schema=self._schema)


class FormerRows:
    """Rows as they were when they got another key, for the change that goes on with them.

    That change may be in a later batch, when the row under its former key is gone.
    """

    def __init__(
        self,
        table: tables.Table,
        place: Location,
        schema: pa.Schema,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Look whether there are any; their table is made with the first."""
        self._app_id = ledger.app_id(table)
        self._horizon = timedelta(milliseconds=table.merge.tombstones_ms)
        self._clock = clock
        self._schema = schema
        self._kept = pa.schema([*schema, pa.field(_RECORDED_AT, pa.timestamp("us", tz="UTC"))])
        self._place = place.child("_penstock/former_rows")
        self._key, self._marks = table.merge.primary_key, changes.marks(table)
        self._lake: merging.KeyedTable | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look at what another writer has kept.

        Raises:
            NotReady: when the storage fails.
        """
        if self._lake is not None:
            self._lake.refresh()
        elif delta.read_table(self._place) is not None:
            self._lake = self._open()

    def of(self, keys: pa.Table) -> pa.Table:
        """Return the rows that had the keys, as changes."""
        if self._lake is None:
            return self._schema.empty_table()
        return self._lake.matching(keys).select(self._schema.names).cast(self._schema)

    def record(self, number: int, rows: pa.Table) -> None:
        """Keep rows of a batch; does nothing when the batch's are there already."""
        if self._lake is None:
            self._lake = self._open()
        if not rows.num_rows or number <= self._lake.last(self._app_id):
            return
        at = pa.repeat(pa.scalar(self._clock(), self._kept.field(_RECORDED_AT).type), len(rows))
        kept = rows.append_column(_RECORDED_AT, at).cast(self._kept)
        self._lake.append(kept.combine_chunks(), app_id=self._app_id, number=number)

    def tidy(self) -> None:
        """Forget what is past the horizon of the tombstones, and join the files of the rest."""
        if self._lake is None:
            return
        before = (self._clock() - self._horizon).isoformat()
        self._lake.forget(f"{merging_sql.quoted(_RECORDED_AT)} < '{before}'")
        self._lake.tidy()

    def _open(self) -> merging.KeyedTable:
        return merging.open_keyed(
            self._place,
            self._kept,
            primary_key=self._key,
            marks=self._marks,
            policy=tables.Evolution.WIDEN,
            app_id=self._app_id,
        )
