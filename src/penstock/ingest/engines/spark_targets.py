"""Where Spark's rows go: the same tables, properties and numbers as `targets`, written by Spark.

    rows of batch N ─commit─▶ append or MERGE, with txnAppId and txnVersion N: one Delta commit
    everything else (make, check, look) ─▶ the embedded target of the same table

Guarantee: as `targets`. Spark leaves out a write whose number the table has already, in silence; so a
commit has a mark of its own, and one that is not in the log then is told as `Conflict`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Protocol, assert_never

import pyarrow as pa

from penstock.ingest import ledger
from penstock.ingest.engines.spark_commits import committing, moved_on, uri
from penstock.ingest.engines.spark_session import translated
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome, Target, append
from penstock.model import tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["AppendTarget", "SparkTarget", "open_target"]

_ROWS_A_FILE = 1_000_000
"""Below this many rows one file is enough; the table's own target size still cuts larger ones."""


class SparkTarget(Protocol):
    """A table that takes Spark's rows."""

    @property
    def inner(self) -> Target:
        """Return the embedded target of the same table, for everything but rows."""

    def commit(self, number: int, rows: DataFrame, *, count: int | None) -> Outcome:
        """Write the rows and the batch's number as one.

        Args:
            number: of the batch; one above the table's last.
            rows: as the pipeline makes them.
            count: how many; at least one. None where writing them is what counts them, which only
                a table that grows takes.

        Raises:
            Conflict: when another process has moved the table on.
            NotReady: when Spark or the storage fails; whether the commit is in the log is not known.
        """


class AppendTarget:
    """A table that only grows.

    Attributes:
        inner: the embedded target of the same table, for everything but rows.
    """

    def __init__(self, table: tables.Table, place: Location, inner: append.AppendTarget) -> None:
        """Take the open table."""
        self.inner = inner
        self._app_id = ledger.app_id(table)
        self._uri = uri(place)

    def commit(self, number: int, rows: DataFrame, *, count: int | None) -> Outcome:
        """Write the rows and the batch's number as one."""
        files, version = self.inner.files, self.inner.lake.version
        mark = uuid.uuid4().hex
        # Rows that are not counted are not made yet: fewer files would be fewer tasks making them.
        few = rows if count is None else rows.coalesce(-(-count // _ROWS_A_FILE))
        with translated(self._uri), committing(self.inner, number):
            (
                few.write.format("delta")
                .mode("append")
                .option("txnAppId", self._app_id)
                .option("txnVersion", number)
                .option("userMetadata", mark)
                .save(self._uri)
            )
            made = self.inner.lake.commit_of(mark, since=version)
            if made is None:
                raise moved_on(number)
        inserted = int(made["operationMetrics"]["numOutputRows"])
        return Outcome(inserted=inserted, files_added=max(0, self.inner.files - files))


def open_target(
    table: tables.Table, place: Location, schema: pa.Schema, session: SparkSession
) -> SparkTarget:
    """Open the table, and make it when there is none.

    Raises:
        Refused: when the table there is not what is declared.
        NotReady: when the storage fails.
    """
    match table.mode:
        case tables.TableMode.APPEND:
            return AppendTarget(table, place, append.AppendTarget(table, place, schema))
        case tables.TableMode.MERGE | tables.TableMode.MERGE_CDC:
            from penstock.ingest.engines import spark_merge  # noqa: PLC0415 - each way by itself

            return spark_merge.open_target(table, place, schema, session)
        case _:
            assert_never(table.mode)
