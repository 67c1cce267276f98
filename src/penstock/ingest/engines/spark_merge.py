"""Rows changed by key, on Spark: the same folding, then one MERGE.

    changes of batch N ──────────────┐
    deletes remembered of their keys ┼─a partition a set of keys─▶ Folder (mapInArrow) ─▶ one a key
    rows there, where parts matter ──┘                                │
        ─1─▶ tombstones + N (where any was deleted)   ─2─▶ MERGE + N ◀┘

Guarantee: as `targets.merge`, whose folding, guard, tombstones and truncations these are: folding is
associative, so it may be done by Spark's partitions. To the driver come only deletes, truncations,
and rows that changed their key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes, changes_former, delta, folding, ledger, merging_sql
from penstock.ingest.changes import ABSENT, FORMER, OPERATION, Operation
from penstock.ingest.engines.spark_commits import committing, moved_on, uri
from penstock.ingest.engines.spark_pipeline import ddl, nullable
from penstock.ingest.engines.spark_session import kept, translated
from penstock.ingest.fresh import LOG
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome
from penstock.ingest.targets.change_log import ChangeLogTarget
from penstock.ingest.targets.merge import MergeTarget as EmbeddedTarget
from penstock.model import tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["MergeTarget", "open_target"]

_KIND = "_kind"
_CHANGE, _DELETE, _STANDING = "change", "delete", "standing"
_VIEW = "penstock_changes"
_APP_ID = "spark.databricks.delta.write.txnAppId"
_VERSION = "spark.databricks.delta.write.txnVersion"


class MergeTarget:
    """A merged table.

    Attributes:
        inner: the embedded target of the same table, for everything but rows.
    """

    def __init__(
        self, table: tables.Table, place: Location, inner: EmbeddedTarget, session: SparkSession
    ) -> None:
        """Take the open table.

        Args:
            table: the declaration.
            place: where it is.
            inner: the embedded target.
            session: of Spark, this table's own: numbers of commits are settings of a session.
        """
        self.inner = inner
        self._app_id = ledger.app_id(table)
        self._uri = uri(place)
        self._tombstones = uri(place.child("_penstock/tombstones"))
        self._session = session

    def commit(self, number: int, rows: DataFrame, *, count: int | None) -> Outcome:
        """Change the rows and write the batch's number as one.

        Raises:
            Refused: when the source's table was truncated and the declaration says to stop then.
        """
        del count
        inner = self.inner
        with translated(self._uri), committing(inner, number):
            rows = self._moved(number, rows)
            truncated = inner.truncation(self._truncations(rows))
            known = folding.truncation(pa.concat_tables([inner.tombstones.truncation, truncated]))
            with kept(self._folded(rows, known)) as folded:
                deletes = pa.concat_tables([self._deletes(folded), truncated])
                inner.tombstones.record(number, deletes)
                outcome = self._merge(number, folded, truncated)
            inner.refresh()
            if inner.last < number:
                # Delta makes no commit of a merge that changes nothing.
                inner.mark(number)
        return outcome

    def _moved(self, number: int, rows: DataFrame) -> DataFrame:
        """Return the changes, those of a new key filled from what stands under the former one.

        These are few, and so is what the batch has of their former keys: both come to the driver.
        """
        moving = self._changes(rows.where(f"{FORMER} IS NOT NULL"))
        if not moving.num_rows:
            return rows
        key = list(self.inner.lake.primary_key)
        come, gone = (
            of(moving, key).select(key)
            for of in (changes_former.former_keys, changes_former.gone_keys)
        )
        keys = self._session.createDataFrame(pa.concat_tables([come, gone.cast(come.schema)]))
        others = rows.where(f"{FORMER} IS NULL")
        related = self._changes(self._of_keys(others, keys.distinct()))
        filled = self.inner.moved(number, pa.concat_tables([moving, related]))
        return others.unionByName(self._session.createDataFrame(filled.slice(0, moving.num_rows)))

    def _changes(self, rows: DataFrame) -> pa.Table:
        return self.inner.checked(rows.toArrow())

    def _truncations(self, rows: DataFrame) -> pa.Table:
        return self._changes(rows.where(f"{OPERATION} = '{Operation.TRUNCATE.value}'"))

    def _folded(self, rows: DataFrame, known: pa.Table) -> DataFrame:
        """Return one change a key, as `changes.to_rows` gives them."""
        frames = [self._named(rows, _CHANGE)]
        keys = rows.select(*self.inner.lake.primary_key).distinct()
        if self.inner.tombstones.rows:
            deletes = self._session.read.format("delta").load(self._tombstones)
            frames.append(self._named(self._of_keys(deletes, keys), _DELETE))
        if self.inner.lake.has_behind or not rows.where(f"{ABSENT} IS NOT NULL").isEmpty():
            standing = self._session.read.format("delta").load(self._uri)
            frames.append(self._named(self._of_keys(standing, keys), _STANDING))
        every = reduce(
            lambda left, right: left.unionByName(right, allowMissingColumns=True), frames
        )
        fold = _Fold(
            folder=self.inner.folder,
            schema=self.inner.schema,
            lake_schema=self.inner.lake.schema,
            known=known,
        )
        return every.repartition(*self.inner.lake.primary_key).mapInArrow(fold, ddl(fold.gives))

    def _named(self, frame: DataFrame, kind: str) -> DataFrame:
        names = [n for n in self.inner.schema.names if n in frame.columns]
        return frame.select(*names).selectExpr("*", f"'{kind}' AS {_KIND}")

    def _of_keys(self, frame: DataFrame, keys: DataFrame) -> DataFrame:
        return frame.join(keys, on=list(self.inner.lake.primary_key), how="left_semi")

    def _deletes(self, folded: DataFrame) -> pa.Table:
        found = folded.where(f"{OPERATION} = '{Operation.DELETE.value}'").toArrow()
        return self.inner.checked(changes.of_rows(found))

    def _merge(self, number: int, folded: DataFrame, truncated: pa.Table) -> Outcome:
        folded.createOrReplaceTempView(_VIEW)
        self._session.conf.set(_APP_ID, self._app_id)
        self._session.conf.set(_VERSION, str(number))
        try:
            found = self._session.sql(self._statement(folded, truncated)).collect()
        finally:
            self._session.conf.unset(_APP_ID)
            self._session.conf.unset(_VERSION)
            self._session.catalog.dropTempView(_VIEW)
        if not found:  # nothing is told of a merge that was left out: its number was there
            raise moved_on(number)
        done = found[0]
        return Outcome(
            inserted=done["num_inserted_rows"],
            updated=done["num_updated_rows"],
            deleted=done["num_deleted_rows"],
        )

    def _statement(self, folded: DataFrame, truncated: pa.Table) -> str:
        lake = self.inner.lake
        newer = merging_sql.newer(lake.marks)
        deleted = f"s.{OPERATION} = '{Operation.DELETE.value}'"
        names = [merging_sql.quoted(name) for name in lake.schema.names]
        assigned = ", ".join(f"t.{name} = s.{name}" for name in names)
        condition = merging_sql.same_key(lake.primary_key)
        # Rows that no change names are deleted by a truncation: all files are looked at then.
        among = "" if truncated.num_rows else self._among(folded)
        statement = (
            # Of names, each quoted, and of bounds that are written as literals.
            f"MERGE INTO delta.`{self._uri}` t USING {_VIEW} s ON {condition}{among} "  # noqa: S608
            f"WHEN MATCHED AND {deleted} AND {newer} THEN DELETE "
            f"WHEN MATCHED AND NOT ({deleted}) AND {newer} THEN UPDATE SET {assigned} "
            f"WHEN NOT MATCHED AND NOT ({deleted}) THEN INSERT ({', '.join(names)}) "
            f"VALUES ({', '.join(f's.{name}' for name in names)})"
        )
        if truncated.num_rows:
            emptied = merging_sql.older(truncated)
            statement += f" WHEN NOT MATCHED BY SOURCE AND {emptied} THEN DELETE"
        return statement

    def _among(self, folded: DataFrame) -> str:
        """Return a condition that spares the files which can hold no key of the batch."""
        key = merging_sql.quoted(self.inner.lake.primary_key[0])
        low, high = folded.selectExpr(f"min({key})", f"max({key})").collect()[0]
        between = merging_sql.between(
            pa.chunked_array([[low, high]]), self.inner.lake.primary_key[0]
        )
        return f" AND {between.replace(key, f't.{key}')}" if between else ""


def open_target(
    table: tables.Table, place: Location, schema: pa.Schema, session: SparkSession
) -> MergeTarget:
    """Open the table, and make it when there is none; see `targets.merge`.

    Changes that the embedded engine keeps in a log beside the table are folded into it first:
    Spark always merges, so its tables have none.
    """
    base = EmbeddedTarget(table, place, schema)
    logged = delta.read_table(place.child(LOG))
    if logged is not None and logged.rows:
        ChangeLogTarget(base, clock=lambda: datetime.now(UTC)).fold()
    return MergeTarget(table, place, base, session)


class _Fold:
    """What Spark pickles and calls, once a partition of keys."""

    def __init__(
        self,
        *,
        folder: folding.Folder,
        schema: pa.Schema,
        lake_schema: pa.Schema,
        known: pa.Table,
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._lake_schema = lake_schema
        self._known = known
        self.gives = nullable(changes.to_rows(schema.empty_table(), lake_schema).schema)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces = list(batches)
        if not pieces:
            return
        every = pa.Table.from_batches(pieces)
        folded = self._folder.fold(self._of_kind(every, _CHANGE))
        folded = folding.after(folded, self._known)
        for kind in (_DELETE, _STANDING):
            others = self._of_kind(every, kind)
            if others.num_rows:
                folded = self._folder.fold(pa.concat_tables([others, folded]))
        yield from changes.to_rows(folded, self._lake_schema).cast(self.gives).to_batches()

    def _of_kind(self, every: pa.Table, kind: str) -> pa.Table:
        found = every.filter(compute.equal(every[_KIND], kind)).drop_columns(_KIND)
        if kind == _STANDING:
            found = changes.of_rows(found.select(self._lake_schema.names))
        return found.select(self._schema.names).cast(self._schema)
