"""The door to Delta Lake: one table, its rows, and the number of the last batch in its own log.

    open_table ─▶ LakeTable ─append(rows, app_id, N)─▶ one Delta commit: the files and the number
                      └─last(app_id)─◀ the log's application transactions

Guarantee: an append's rows and its number are both in the log or neither is. Of two writers of the
same number one is refused, as `Conflict`: Delta refuses a transaction of an application id that
came while the commit was made, and `append` refuses a number that is not above the last one. Never
retries, and never writes to a table it did not check to have the declared columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    SchemaMismatchError,
    TableNotFoundError,
)
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from penstock.errors import Conflict, NotReady, PenstockError, Refused
from penstock.ingest import evolution
from penstock.ingest.locations import Location
from penstock.model import tables

__all__ = [
    "LakeTable",
    "moved_on",
    "open_table",
    "properties",
    "read_table",
    "translated",
]

_NO_COMPACTION = tables.Compaction()


def properties(compaction: tables.Compaction, *, change_feed: bool = False) -> dict[str, str]:
    """Return the Delta properties of a table that every engine can go on with.

    delta-rs writes no deletion vectors and counts wrongly over those of others, so there are none.
    """
    kept = f"interval {max(1, compaction.retention_ms // 1000)} seconds"
    return {
        "delta.checkpointInterval": "100",
        "delta.enableExpiredLogCleanup": "true",
        "delta.logRetentionDuration": kept,
        "delta.deletedFileRetentionDuration": kept,
        "delta.targetFileSize": str(compaction.target_bytes),
        "delta.enableChangeDataFeed": "true" if change_feed else "false",
        "delta.enableDeletionVectors": "false",
    }


class LakeTable:
    """One Delta table, as of the version this process has last seen.

    Attributes:
        table: the library's own, for the doors beside this one.
        place: where it is.
        rows: how many rows it has, counted from the log alone.
    """

    def __init__(self, table: DeltaTable, *, place: Location) -> None:
        """Take an open table; `open_table` makes one."""
        self.table = table
        self._last: dict[str, int] = {}
        self.place = place
        with translated(place):
            self.rows: int = table.count()

    @property
    def version(self) -> int:
        """Return the version this process has last seen."""
        return int(self.table.version())

    @property
    def files(self) -> int:
        """Return how many files hold the rows."""
        with translated(self.place):
            return len(self.table.file_uris())

    @property
    def schema(self) -> pa.Schema:
        """Return the columns as Arrow has them."""
        return pa.schema(self.table.schema().to_arrow())

    def last(self, app_id: str) -> int:
        """Return the number the log keeps under the id, 0 for none."""
        if app_id not in self._last:
            # A look into the log takes a millisecond: once an id, while no one else writes.
            with translated(self.place):
                self._last[app_id] = self.table.transaction_version(app_id) or 0
        return self._last[app_id]

    def refresh(self) -> None:
        """Look at the newest version.

        Raises:
            NotReady: when the storage fails.
        """
        version = self.version
        with translated(self.place):
            self.table.update_incremental()
            if self.version != version:
                self._last.clear()
                self.rows = self.table.count()

    def commit_of(self, mark: str, *, since: int) -> Mapping[str, Any] | None:
        """Return what the log says of the commit with a mark; None when there is none.

        Args:
            mark: the ``userMetadata`` that it was made with.
            since: a version before it.

        Raises:
            NotReady: when the storage fails.
        """
        self.refresh()
        if self.version == since:
            return None
        with translated(self.place):
            commits = self.table.history(self.version - since)
        return next((each for each in commits if each.get("userMetadata") == mark), None)

    def append(
        self,
        rows: pa.Table,
        *,
        app_id: str,
        number: int,
        positions: Mapping[str, int] | None = None,
    ) -> int:
        """Commit the rows and the batch's number as one; return how many files were added.

        Args:
            rows: what to add; no rows at all just moves the number.
            app_id: whose number it is.
            number: of the batch; above the last one.
            positions: numbers of other ids, to be committed with it.

        Raises:
            Conflict: when the batch is in the table already, or another process has committed
                meanwhile. Nothing was written.
            NotReady: when the storage failed. Whether the commit is in the log is not known: open
                the table again before anything else.
        """
        if number <= self.last(app_id):
            raise moved_on(self.place)
        version = self.version
        moves = {**(positions or {}), app_id: number}
        with translated(self.place):
            write_deltalake(
                self.table,
                rows,
                mode="append",
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(*move) for move in moves.items()]
                ),
            )
            self.rows += rows.num_rows
            self._last.update(moves)
            if self.version != version + 1:
                # Someone else's commit lies between: another id's, or a tidying.
                self._last.clear()
                self.rows = self.table.count()
            done = self.table.history(1)[0].get("operationMetrics") or {}
        return int(done.get("num_added_files", 0))

    def remove(self, rows: pa.Table, *, keys: Sequence[str]) -> None:
        """Delete the rows whose keys are among those given.

        Raises:
            Conflict: when another process has written the same files meanwhile.
            NotReady: when the storage fails.
        """
        same = " AND ".join(f'target."{key}" = source."{key}"' for key in keys)
        with translated(self.place):
            merger = self.table.merge(
                rows, predicate=same, source_alias="source", target_alias="target"
            )
            merger.when_matched_delete().execute()
            self.rows = self.table.count()

    def tidy(self) -> tuple[int, int]:
        """Join small files, and delete those that nobody needs any more; return added, removed.

        Safe at any time beside writers: it adds and removes no row. When another process tidied
        at the same moment, that one's work is enough.
        """
        self._last.clear()
        try:
            with translated(self.place):
                done = self.table.optimize.compact()
                self.table.vacuum(dry_run=False, full=True)
        except Conflict:
            with translated(self.place):
                self.table.update_incremental()
            return 0, 0
        return int(done["numFilesAdded"]), int(done["numFilesRemoved"])

    def newest(self, count: int, *, order_by: str = "") -> pa.Table:
        """Return the newest ``count`` rows, newest last, reading only the files written last.

        Args:
            count: at most so many.
            order_by: a column that orders the rows of those files, which Delta does not; without
                one they come as they lie there.
        """
        with translated(self.place):
            written = {
                action["path"]: action["modification_time"]
                for action in pa.table(self.table.get_add_actions(flatten=True)).to_pylist()
            }
            dataset = self._dataset()
            files = sorted(dataset.get_fragments(), key=lambda f: written[f.path], reverse=True)
            pieces: list[pa.Table] = []
            for file in files:
                if sum(piece.num_rows for piece in pieces) >= count:
                    break
                pieces.insert(0, file.to_table(schema=dataset.schema))
        rows = pa.concat_tables([dataset.schema.empty_table(), *pieces])
        if order_by:
            rows = rows.sort_by(order_by)
        return rows.slice(max(0, rows.num_rows - count))

    def in_order(self, first: int = 0, *, rows: int, size_bytes: int) -> Iterator[pa.Table]:
        """Yield the rows from number ``first`` on, numbered in an order that the version has for ever.

        Args:
            first: counted from 0; files before it are not read, but for their footers.
            rows: of a piece at most.
            size_bytes: of a piece, about.
        """
        with translated(self.place):
            dataset = self._dataset()
            for file in sorted(dataset.get_fragments(), key=lambda each: str(each.path)):
                count = file.metadata.num_rows
                if first >= count:
                    first -= count
                    continue
                held = sum(group.total_byte_size for group in file.row_groups)
                fit = size_bytes * count // max(1, held)
                batches = file.to_batches(
                    schema=dataset.schema, batch_size=max(1, min(rows, fit)), batch_readahead=0
                )
                for batch in batches:
                    piece = pa.Table.from_batches([batch]).slice(first)
                    first = max(0, first - batch.num_rows)
                    if piece.num_rows:
                        yield piece

    def _dataset(self) -> Any:
        # Any: deltalake does not say what it returns. Arrow's own file system: delta-rs's is Python,
        # and one of Arrow's threads that lets go of it while the interpreter ends aborts the process.
        path = self.place.path
        here = SubTreeFileSystem(str(path), LocalFileSystem()) if path else None
        return self.table.to_pyarrow_dataset(filesystem=here)


def open_table(
    place: Location,
    schema: pa.Schema,
    *,
    partition_by: Sequence[str] = (),
    configuration: Mapping[str, str] | None = None,
    policy: tables.Evolution = tables.Evolution.REFUSE,
    app_id: str = "",
) -> LakeTable:
    """Open the table, make it when there is none, and give it the columns that are declared.

    Args:
        place: where it is.
        schema: the declared columns.
        partition_by: the declared partition columns.
        configuration: Delta properties; else those of a table nobody tuned.
        policy: what may be done where the table there has other columns.
        app_id: whose batches the table takes, where its rows may be written anew for wider columns.

    Raises:
        Refused: when the table there has other columns than may be, or other partition columns.
        NotReady: when the storage cannot be read or written.
    """
    wanted = dict(configuration or properties(_NO_COMPACTION))
    with translated(place):
        table = DeltaTable.create(
            place.uri,
            schema,
            mode="ignore",
            partition_by=list(partition_by),
            configuration=wanted,
            storage_options=place.storage_options or None,
        )
        existing = pa.schema(table.schema().to_arrow())
        partitions = table.metadata().partition_columns
        declared = pa.schema(Schema.from_arrow(schema).to_arrow())
    evolved = evolution.evolve(
        declared,
        existing,
        layouts=(_layout(partition_by), _layout(partitions)),
        policy=policy,
        place=str(place),
    )
    with translated(place):
        if evolved.added:
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(evolved.added)).fields))
        if evolved.widened:
            _widen(table, evolved.widened, app_id=app_id, change_feed=wanted, place=place)
        differs = {k: v for k, v in wanted.items() if table.metadata().configuration.get(k) != v}
        if differs:
            table.alter.set_table_properties(differs, raise_if_not_exists=False)
    return LakeTable(table, place=place)


def read_table(place: Location | Path, *, version: int | None = None) -> LakeTable | None:
    """Open a table to read it; None when there is none."""
    place = Location(uri=str(place)) if isinstance(place, Path) else place
    options = place.storage_options or None
    with translated(place):
        if not DeltaTable.is_deltatable(place.uri, storage_options=options):
            return None
        return LakeTable(
            DeltaTable(place.uri, version=version, storage_options=options), place=place
        )


def _widen(
    table: DeltaTable,
    widened: Sequence[pa.Field],
    *,
    app_id: str,
    change_feed: Mapping[str, str],
    place: Location,
) -> None:
    """Write every row anew with the wider columns, in one commit.

    Delta has no other way that all readers know. The last batch's number goes with it: so a writer
    that commits meanwhile is refused, or this is.
    """
    if change_feed.get("delta.enableChangeDataFeed") == "true":
        raise Refused(
            f"the columns {', '.join(f.name for f in widened)} of the table at {place} are not "
            "widened: its change feed would tell every row as changed. Give the table another "
            "path, or take change_feed away first."
        )
    types = {field.name: field for field in widened}
    schema = pa.schema([types.get(f.name, f) for f in pa.schema(table.schema().to_arrow())])
    batches = table.to_pyarrow_dataset().to_batches(columns=schema.names)
    wide = (pa.Table.from_batches([batch]).cast(schema).to_batches() for batch in batches)
    write_deltalake(
        table,
        pa.RecordBatchReader.from_batches(schema, (piece for pieces in wide for piece in pieces)),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=table.metadata().partition_columns or None,
        commit_properties=CommitProperties(
            app_transactions=[Transaction(app_id, table.transaction_version(app_id) or 0)]
            if app_id
            else None
        ),
    )


def _layout(partition_by: Sequence[str]) -> str:
    return f"by {', '.join(partition_by)}" if partition_by else "without partitions"


def moved_on(place: Location) -> Conflict:
    """Return what to raise when another process was first."""
    return Conflict(
        f"another process has written to the table at {place} since it was read. Let one process "
        "ingest a table; this one goes on from where the other is."
    )


@contextmanager
def translated(place: Location) -> Iterator[None]:
    """Tell deltalake's errors in Penstock's words."""
    try:
        yield
    except PenstockError:
        raise
    except CommitFailedError as error:
        raise moved_on(place) from error
    except SchemaMismatchError as error:
        raise Refused(
            f"the table at {place} has other columns than are declared: {error}. Give the table "
            "another name or path."
        ) from error
    except (DeltaError, TableNotFoundError, OSError, pa.ArrowException) as error:
        raise _failed(place, error) from error
    except BaseException as error:
        # Delta's Rust may panic when a write fails (seen on a full disk), which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _failed(place, error) from error


def _failed(place: Location, error: BaseException) -> NotReady:
    reason = " ".join(str(error).split())[:300]
    return NotReady(
        f"the table at {place} cannot be read or written: {reason}. Check the disk's free space and "
        "the directory's permissions; nothing was lost, the same records are tried again."
    )
