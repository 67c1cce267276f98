"""The door to Delta Lake's merge: a table with a key, changed row by row.

    one change a key ─merge(guard, N)─▶ touched files rewritten + N, one Delta commit
    keys ─matching─▶ their rows, from the files that may hold them
    files ─arrange─▶ sorted by key, so that changes of near keys touch few files

Guarantee: as `delta.LakeTable.append`'s, and a row is never replaced by a change that is older by
its marks. Files that cannot hold a key of the batch are not read: the source is held in memory, and
Delta compares its smallest and largest key with each file's. A merge's memory goes with its batch,
a sort's is bounded by ``_SORT_BYTES``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake
from pyarrow import compute

from penstock.ingest import delta, merging_sql
from penstock.ingest.changes import ABSENT, BEHIND, OPERATION, Operation
from penstock.ingest.delta import moved_on, translated
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome
from penstock.model import tables

__all__ = ["Bounds", "KeyedTable", "disorder", "indexes_among", "open_keyed", "spread"]

_PIECE_ROWS = 250_000
_SORT_BYTES = 512 * 2**20
_DISORDER = 2.0
"""Files a key may be in, on average, before the table is sorted anew."""

Bounds: TypeAlias = tuple[Any, Any]
"""Smallest and largest key of a batch, by `KeyedTable.sorted_by`; Any: whatever a key is."""


class KeyedTable(delta.LakeTable):
    """A Delta table whose rows have a key and marks of the change that made them.

    Attributes:
        primary_key: columns that name a row.
        marks: columns that order two changes of a key.
    """

    primary_key: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @classmethod
    def of(cls, lake: delta.LakeTable, *, primary_key: Sequence[str], marks: Sequence[str]) -> Self:
        """Take an open table."""
        keyed = cls(lake.table, place=lake.place)
        keyed.primary_key = tuple(primary_key)
        keyed.marks = tuple(marks)
        return keyed

    def merge(
        self, rows: pa.Table, *, app_id: str = "", number: int = 0, emptied: str = ""
    ) -> Outcome:
        """Commit the changes and the batch's number as one.

        Args:
            rows: one a key, as `changes.to_rows` gives them.
            app_id: whose number it is; empty commits none.
            number: of the batch; above the last one.
            emptied: condition on rows of the table, alias ``t``, that are deleted unless a change
                keeps them.

        Raises:
            Conflict: when the batch is in the table already, or another process has committed
                meanwhile. Nothing was written.
            NotReady: when the storage failed. Whether the commit is in the log is not known.
        """
        if app_id and number <= self.last(app_id):
            raise moved_on(self.place)
        self._last.clear()
        with translated(self.place):
            done = self._merge(rows, app_id=app_id, number=number, emptied=emptied)
            if app_id and self.table.transaction_version(app_id) != number:
                # Delta makes no commit of a merge that changes nothing.
                self.append(self.schema.empty_table(), app_id=app_id, number=number)
            self.rows = self.table.count()
        return Outcome(
            inserted=done["num_target_rows_inserted"],
            updated=done["num_target_rows_updated"],
            deleted=done["num_target_rows_deleted"],
            files_added=done["num_target_files_added"],
            files_removed=done["num_target_files_removed"],
        )

    def _merge(
        self, rows: pa.Table, *, app_id: str, number: int, emptied: str
    ) -> Mapping[str, int]:
        transactions = [Transaction(app_id, number)] if app_id else None
        newer = merging_sql.newer(self.marks)
        deleted = f"s.{merging_sql.quoted(OPERATION)} = '{Operation.DELETE.value}'"
        columns = {
            merging_sql.quoted(name): f"s.{merging_sql.quoted(name)}" for name in self.schema.names
        }
        # No `max_spill_size`: a hash join cannot spill, and under a bound the shuffle before it may
        # wait for itself for ever (delta-rs #4614, datafusion #24883).
        merge = self.table.merge(
            rows,
            predicate=merging_sql.same_key(self.primary_key),
            source_alias="s",
            target_alias="t",
            streamed_exec=False,
            commit_properties=CommitProperties(app_transactions=transactions),
        )
        merge = (
            merge.when_matched_delete(predicate=f"{deleted} AND {newer}")
            .when_matched_update(columns, predicate=f"NOT ({deleted}) AND {newer}")
            .when_not_matched_insert(columns, predicate=f"NOT ({deleted})")
        )
        if emptied:
            merge = merge.when_not_matched_by_source_delete(predicate=emptied)
        done: Mapping[str, int] = merge.execute()
        return done

    def matching(self, keys: pa.Table, *, where: str = "") -> pa.Table:
        """Return the rows whose key is among the keys.

        Args:
            keys: the primary key's columns, of one change or more.
            where: a further condition, which spares the files that cannot meet it.
        """
        keys = keys.select(self.primary_key)
        if not keys.num_rows:
            return self.schema.empty_table()
        among = merging_sql.between(keys[self.primary_key[0]], self.primary_key[0])
        predicate = " AND ".join(f"({each})" for each in (among, where) if each)
        with translated(self.place):
            found = [piece.take(indexes_among(piece, keys)) for piece in self.read(predicate)]
        return pa.concat_tables([self.schema.empty_table(), *found])

    def read(self, predicate: str = "") -> Iterator[pa.Table]:
        """Yield the rows that meet the condition, in pieces of bounded size."""
        reader = pa.RecordBatchReader.from_stream(self.table.scan(predicate=predicate or None))
        schema = self.schema
        held: list[pa.RecordBatch] = []
        for batch in reader:
            held.append(batch)
            if sum(each.num_rows for each in held) >= _PIECE_ROWS:
                yield pa.Table.from_batches(held).cast(schema)
                held = []
        if held:
            yield pa.Table.from_batches(held).cast(schema)

    @property
    def has_behind(self) -> bool:
        """Tell whether any row has a column that is older than the row, or that nobody told of."""
        actions = self._actions()
        return any(_holds(actions, name) for name in (ABSENT, BEHIND) if name in self.schema.names)

    @property
    def sorted_by(self) -> str:
        """Return the first column of the key that is not the same in every row.

        Files sorted by several columns at once (a Z-order) have wide ranges of each.
        """
        actions = self._actions()
        return next(
            (name for name in self.primary_key if _varies(actions, name)), self.primary_key[0]
        )

    @property
    def disorder(self) -> float:
        """Return in how many files a key may be on average; 1.0 for a table sorted by key."""
        return disorder(self._actions(), self.sorted_by)

    def clear(self, app_id: str = "", number: int = 0) -> None:
        """Delete every row, by the log alone."""
        transactions = [Transaction(app_id, number)] if app_id else None
        with translated(self.place):
            self.table.delete(commit_properties=CommitProperties(app_transactions=transactions))
            self.rows = 0

    def forget(self, predicate: str) -> None:
        """Delete the rows that meet the condition."""
        with translated(self.place):
            self.table.delete(predicate)
            self.rows = self.table.count()

    def add(self, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Add rows without a number."""
        with translated(self.place):
            write_deltalake(self.table, rows, mode="append")
            self.rows = self.table.count()

    def load(self, rows: pa.RecordBatchReader) -> None:
        """Add rows of a snapshot without a number, then sort the table by its key.

        The rows must have no key that is there already: a merge is for those.
        """
        self.add(rows)
        self.arrange()

    def arrange(self) -> Outcome:
        """Rewrite the table sorted by its key."""
        with translated(self.place):
            done = self.table.optimize.z_order(
                [self.sorted_by], max_spill_size=_SORT_BYTES, max_concurrent_tasks=1
            )
            self.rows = self.table.count()
        return Outcome(files_added=done["numFilesAdded"], files_removed=done["numFilesRemoved"])

    def tidy_by_key(self, *, sort: bool) -> Outcome:
        """Join small files, or sort all where keys have come to lie in too many of them.

        Args:
            sort: whether a sorted table would spare the merges anything.
        """
        if not sort or self.disorder <= _DISORDER:
            added, removed = self.tidy()
            return Outcome(files_added=added, files_removed=removed)
        # Joining would mix the ranges of the files that were just sorted.
        outcome = self.arrange()
        with translated(self.place):
            self.table.vacuum(dry_run=False, full=True)
        return outcome

    def merges(self, limit: int = 20) -> list[tuple[int, int]]:
        """Return of the newest merges how many changes they had and how many files they removed."""
        with translated(self.place):
            commits = self.table.history(5 * limit)
        counts = [c.get("operationMetrics", {}) for c in commits if c["operation"] == "MERGE"]
        return [
            (int(count["num_source_rows"]), int(count["num_target_files_removed"]))
            for count in counts
            if "num_source_rows" in count
        ][:limit]

    def spread(self, bounds: Sequence[Bounds]) -> float:
        """Return the mean share of the table's range of keys that batches of these bounds span.

        It is the share of a sorted table's files that their merges read; 1.0 where it is not known.
        """
        return spread(self._actions(), self.sorted_by, bounds)

    def _actions(self) -> pa.Table:
        with translated(self.place):
            return pa.table(self.table.get_add_actions(flatten=True))


def disorder(actions: pa.Table, key: str) -> float:
    """Return the mean number of files whose range of the key holds a file's first key.

    Args:
        actions: the files, as delta-rs lists them.
        key: the column of the primary key that the table is sorted by.
    """
    low, high = f"min.{key}", f"max.{key}"
    if low not in actions.column_names or actions.num_rows == 0:
        return float(actions.num_rows)
    known = actions.filter(compute.is_valid(actions[low]))
    starts = sorted(known[low].to_pylist())
    ends = sorted(known[high].to_pylist())
    covering, ended = 0, 0
    for begun, start in enumerate(starts, start=1):
        while ended < len(ends) and ends[ended] < start:
            ended += 1
        covering += begun - ended
    return covering / max(1, len(starts))


def spread(actions: pa.Table, key: str, bounds: Sequence[Bounds]) -> float:
    """Return the mean share of the files' whole range of the key that the bounds span.

    Args:
        actions: the files, as delta-rs lists them.
        key: the column of the primary key that the table is sorted by.
        bounds: smallest and largest key of each batch.
    """
    low, high = f"min.{key}", f"max.{key}"
    numbers = [pair for pair in bounds if isinstance(pair[0], int)]
    if low not in actions.column_names or not numbers or not actions.num_rows:
        return 1.0
    least, most = compute.min(actions[low]).as_py(), compute.max(actions[high]).as_py()
    if not isinstance(least, int) or most <= least:
        return 1.0
    shares = [(min(top, most) - max(bottom, least)) / (most - least) for bottom, top in numbers]
    return float(sum(min(1.0, max(0.0, share)) for share in shares) / len(shares))


def _varies(actions: pa.Table, name: str) -> bool:
    low, high = f"min.{name}", f"max.{name}"
    if low not in actions.column_names:
        return False
    return bool(compute.min(actions[low]).as_py() != compute.max(actions[high]).as_py())


def _holds(actions: pa.Table, name: str) -> bool:
    nulls = f"null_count.{name}"
    if nulls not in actions.column_names:
        return bool(actions.num_rows)
    some = compute.not_equal(actions[nulls], actions["num_records"])
    holds: bool = compute.any(compute.fill_null(some, fill_value=True)).as_py()
    return holds


def open_keyed(
    place: Location,
    schema: pa.Schema,
    *,
    primary_key: Sequence[str],
    marks: Sequence[str],
    partition_by: Sequence[str] = (),
    configuration: Mapping[str, str] | None = None,
    policy: tables.Evolution = tables.Evolution.REFUSE,
    app_id: str = "",
) -> KeyedTable:
    """Open the table, or make it when there is none; see `delta.open_table`."""
    lake = delta.open_table(
        place,
        schema,
        partition_by=partition_by,
        configuration=configuration,
        policy=policy,
        app_id=app_id,
    )
    return KeyedTable.of(lake, primary_key=primary_key, marks=marks)


def indexes_among(piece: pa.Table, keys: pa.Table) -> pa.Array:
    """Return the indexes of the rows whose key is among the keys."""
    names = keys.column_names
    if len(names) == 1:
        mask = compute.is_in(piece[names[0]], value_set=keys[names[0]].combine_chunks())
        return compute.indices_nonzero(mask).cast(pa.int64())
    numbered = piece.select(names).append_column("\0row", pa.arange(0, piece.num_rows))
    found = numbered.join(keys, keys=names, join_type="left semi", use_threads=False)
    return found["\0row"].combine_chunks()
