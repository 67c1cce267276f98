"""The door to Delta Lake: one table, its rows, and the next offsets inside its own log.

    open_table ─▶ LakeTable ─append(rows, positions)─▶ one Delta commit: the files and the offsets
                      └─position(app_id)─◀ the log's application transactions

Guarantee: an append's rows and positions are both in the log or neither is. Two writers that start
from the same position cannot both commit: Delta refuses the second one's transaction of the same
application id, which is told as `Conflict`. A writer that starts from an older position is *not*
refused by Delta, so `append` checks first. Never retries, and never reads a table it did not check
to have the declared columns.
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
from penstock.ingest import plan

__all__ = ["LakeTable", "Move", "letters_path", "open_table", "read_table"]

# A day is enough for readers of an older version and for writers that were killed in a commit; a
# table that takes a commit a second would otherwise keep a week of small files.
_CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.enableExpiredLogCleanup": "true",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
    "delta.targetFileSize": str(128 * 2**20),
}

Move = tuple[int, int]
"""A position before and after a commit."""


class LakeTable:
    """One Delta table, as of the version this process has last seen.

    Attributes:
        path: where it is.
        rows: how many rows it has, counted from the log alone.
    """

    def __init__(self, table: DeltaTable, *, path: Path) -> None:
        """Take an open table; `open_table` makes one."""
        self._table = table
        self._positions: dict[str, int] = {}
        self.path = path
        with _translated(path):
            self.rows: int = table.count()

    @property
    def files(self) -> int:
        """Return how many files hold the rows."""
        with _translated(self.path):
            return len(self._table.file_uris())

    def position(self, app_id: str) -> int:
        """Return the next offset the log keeps under the id, 0 for none."""
        if app_id not in self._positions:
            # A look into the log takes a millisecond: once an id, while no one else writes.
            with _translated(self.path):
                self._positions[app_id] = self._table.transaction_version(app_id) or 0
        return self._positions[app_id]

    def append(self, rows: pa.Table, moves: Mapping[str, Move]) -> None:
        """Commit the rows and the positions after them as one.

        Args:
            rows: what to add; no rows at all just moves the positions.
            moves: for each application id where the rows begin and where they end.

        Raises:
            Conflict: when the table no longer stands where the rows begin. Nothing was written.
            NotReady: when the storage failed. Whether the commit is in the log is not known: open
                the table again before anything else.
        """
        if any(self.position(app_id) != before for app_id, (before, _) in moves.items()):
            raise _moved_on(self.path)
        version = self._table.version()
        transactions = [Transaction(app_id, after) for app_id, (_, after) in moves.items()]
        with _translated(self.path):
            write_deltalake(
                self._table,
                rows,
                mode="append",
                commit_properties=CommitProperties(app_transactions=transactions),
            )
        self.rows += rows.num_rows
        self._positions.update({app_id: after for app_id, (_, after) in moves.items()})
        if self._table.version() != version + 1:
            # Someone else's commit lies between: of other partitions, or Delta had refused ours.
            self._positions.clear()

    def tidy(self) -> None:
        """Join small files, and delete those nobody has needed for a day.

        Safe at any time beside writers: it adds and removes no row. When another process tidied
        at the same moment, that one's work is enough.
        """
        self._positions.clear()
        try:
            with _translated(self.path):
                self._table.optimize.compact()
                self._table.vacuum(dry_run=False, full=True)
        except Conflict:
            with _translated(self.path):
                self._table.update_incremental()

    def newest(self, count: int, *, order_by: str = "") -> pa.Table:
        """Return the newest ``count`` rows, newest last, reading only the files written last.

        Args:
            count: at most so many.
            order_by: a column that orders the rows of those files, which Delta does not; without
                one they come as they lie there.
        """
        with _translated(self.path):
            written = {
                action["path"]: action["modification_time"]
                for action in pa.table(self._table.get_add_actions(flatten=True)).to_pylist()
            }
            # Arrow's own file system: delta-rs's is Python, and one of Arrow's threads that lets go
            # of it while the interpreter ends aborts the process.
            here = SubTreeFileSystem(str(self.path), LocalFileSystem())
            dataset = self._table.to_pyarrow_dataset(filesystem=here)
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


def open_table(path: Path, schema: pa.Schema, *, partition_by: Sequence[str] = ()) -> LakeTable:
    """Open the table, or make it when there is none.

    Raises:
        Refused: when the table there has other columns or other partition columns.
        NotReady: when the storage cannot be read or written.
    """
    with _translated(path):
        table = DeltaTable.create(
            str(path),
            schema,
            mode="ignore",
            partition_by=list(partition_by),
            configuration=_CONFIGURATION,
        )
        existing = {
            **_described(table.schema()),
            "the partition columns": ", ".join(table.metadata().partition_columns),
        }
    declared = {
        **_described(Schema.from_arrow(schema)),
        "the partition columns": ", ".join(partition_by),
    }
    if differs := plan.difference(declared=declared, existing=existing):
        raise Refused(
            f"the table at {path} is not what is declared: {differs}. Declare what is there, or "
            "give the table another name or path; rows are never rewritten."
        )
    return LakeTable(table, path=path)


def read_table(path: Path) -> LakeTable | None:
    """Open a table to read it; None when there is none."""
    with _translated(path):
        if not DeltaTable.is_deltatable(str(path)):
            return None
        return LakeTable(DeltaTable(str(path)), path=path)


def letters_path(path: Path) -> Path:
    """Return where the dead letters of the table at the path are."""
    return path.with_name(f"{path.name}_dead_letters")


def _described(schema: Schema) -> dict[str, str]:
    return {
        field.name: _type_name(field.type) + ("" if field.nullable else " not null")
        for field in schema.fields
    }


def _type_name(kind: Any) -> str:
    # Any: Delta's nested types have no name; no declared column is nested.
    return str(getattr(kind, "type", kind))


def _moved_on(path: Path) -> Conflict:
    return Conflict(
        f"another process has written to the table at {path} since it was read. Let one process "
        "ingest a table; this one goes on from where the other is."
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except PenstockError:
        raise
    except CommitFailedError as error:
        raise _moved_on(path) from error
    except SchemaMismatchError as error:
        raise Refused(
            f"the table at {path} has other columns than are declared: {error}. Give the table "
            "another name or path."
        ) from error
    except (DeltaError, TableNotFoundError, OSError, pa.ArrowException) as error:
        raise _failed(path, error) from error
    except BaseException as error:
        # Delta's Rust may panic when a write fails (seen on a full disk), which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _failed(path, error) from error


def _failed(path: Path, error: BaseException) -> NotReady:
    reason = " ".join(str(error).split())[:300]
    return NotReady(
        f"the table at {path} cannot be read or written: {reason}. Check the disk's free space and "
        "the directory's permissions; nothing was lost, the same records are tried again."
    )
