"""The engine of tables that outgrow one machine: plans carried out by Spark.

    BatchPlan N ─ranges, less what is gone─▶ Spark reads Kafka ─Pipeline in its Python workers─▶
      rows + letters, kept ─1─▶ dead letters, txn N ─2─▶ SparkTarget.commit(N): append or MERGE, txn N
      rows alone, append, nothing to tell ─▶ SparkTarget.commit(N); poison ─▶ nothing written, as above

Guarantee: as `engines` says, and the same rows as the embedded engine: the pipeline, the folding of
changes and the ledger are the same code, and either engine goes on where the other stopped. This
process looks at offsets and at the table's log; records pass through Spark alone, less the letters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.errors import Conflict, DataError
from penstock.ingest import letters
from penstock.ingest.engines import Report, spark_pipeline, spark_sources, spoiled
from penstock.ingest.engines.spark_offsets import Offsets, Span, missing, next_batch
from penstock.ingest.engines.spark_session import (
    SparkSettings,
    kept,
    let_go,
    own_session,
    translated,
)
from penstock.ingest.engines.spark_targets import SparkTarget, open_target
from penstock.ingest.ledger import BatchPlan
from penstock.ingest.locations import Location
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.plan import Gap, Partition, Positions, Source, Tally
from penstock.ingest.targets import Outcome
from penstock.model import tables
from penstock.model.clusters import Cluster

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkEngine", "open_engine"]

_log = logging.getLogger(__name__)


def open_engine(
    table: tables.Table,
    place: Location,
    *,
    letters_place: Location,
    tally: Tally,
    clock: Callable[[], datetime],
    clusters: Mapping[str, Cluster],
    sources: Sequence[Source],
    settings: SparkSettings,
    records: int,
) -> SparkEngine:
    """Open the table and Spark; the first table of a process starts it.

    Args:
        table: the declaration.
        place: where the table is.
        letters_place: where its dead letters are.
        tally: counts poison, and says when it is too much.
        clock: gives the time at which letters are found.
        clusters: by name.
        sources: the topic's physical topics on them.
        settings: where Spark runs.
        records: of a batch, at most.

    Raises:
        ConfigError: when pyspark is not installed, or the declaration cannot work.
        Refused: when what is there is not what is declared.
        NotReady: when Spark, the storage or the schema registry fails.
    """
    return SparkEngine(
        table,
        own_session(settings),
        place=place,
        dead=letters.DeadLetters(table, letters_place, clock=clock),
        tally=tally,
        offsets=Offsets(clusters, name=f"penstock-ingest-{table.name}"),
        sources=sources,
        records=records,
    )


class SparkEngine:
    """Runs batches by Spark; see `ReadingEngine`."""

    def __init__(
        self,
        table: tables.Table,
        session: SparkSession,
        *,
        place: Location,
        dead: letters.DeadLetters,
        tally: Tally,
        offsets: Offsets,
        sources: Sequence[Source],
        records: int,
    ) -> None:
        """Open the table, and make it when there is none; `open_engine` brings the parts."""
        self._table = table
        self._session = session
        self._pipeline = Pipeline(table)
        self._target: SparkTarget = open_target(table, place, self._pipeline.schema, session)
        self._letters = dead
        self._tally = tally
        self._offsets = offsets
        self._sources = sources
        self._records = records
        self._spans: dict[Partition, Span] = {}
        self._clean = table.mode is tables.TableMode.APPEND
        self.record_ids = self._pipeline.record_ids

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log."""
        return self._target.inner.last

    @property
    def rows(self) -> int:
        """Return how many rows the table has."""
        return self._target.inner.rows

    @property
    def files(self) -> int:
        """Return how many files hold them."""
        return self._target.inner.files

    @property
    def trouble(self) -> str:
        """Return why a cluster could not be looked at; empty when all answer."""
        return self._offsets.trouble

    def next_plan(self, number: int, standing: Positions) -> BatchPlan | None:
        """Cut the next batch from what the clusters have; None when there is nothing new.

        Raises:
            NotReady: when no cluster answers.
            Refused: when a cluster denies the topic, or it is not the one that was read before.
        """
        self._spans = self._offsets.look_everywhere(self._sources)
        return next_batch(number, standing, self._spans, records=self._records)

    def lag(self, positions: Positions) -> int:
        """Return how many offsets lie between the positions and what was there at the last look."""
        spans = self._spans.items()
        return sum(max(0, end - positions.get(p, first)) for p, (first, end) in spans)

    def run(self, plan: BatchPlan, raw: pa.Table | None, *, lost: Sequence[Gap] = ()) -> Report:
        """Read the plan's records, and make them rows and letters; see `Engine.run`."""
        del raw  # what has no ranges, such as a reset, has no records
        self._target.inner.refresh()
        self._demand_next(plan)
        ranges, lost_now = missing(plan.ranges, self._offsets.look(plan.ranges), gaps=plan.gaps)
        return self._carry_out(plan, ranges, (*lost, *lost_now))

    def tidy(self) -> Outcome:
        """Join small files and delete those nobody needs any more."""
        return self._target.inner.tidy()

    def close(self) -> None:
        """Leave the clusters, and the table's own session."""
        self._offsets.close()
        let_go(self._session)

    def _carry_out(
        self, plan: BatchPlan, ranges: spark_sources.Ranges, lost: Sequence[Gap]
    ) -> Report:
        if not ranges:
            self._tell(plan, letters.FOUND.empty_table(), lost)
            return Report(records=0, letters=0, outcome=self._nothing(plan.number))
        with translated(f"batch {plan.number} of {self._table.ident}"):
            if self._clean and not plan.gaps and not lost:
                try:
                    return self._written_through(plan, self._read(ranges))
                except DataError as error:
                    _log.info("batch %d of %s: %s", plan.number, self._table.ident, error)
            return self._written_apart(plan, self._read(ranges), lost)

    def _written_through(self, plan: BatchPlan, raw: DataFrame) -> Report:
        """Write rows as they are made, and nothing if any record is poison.

        Letters come before rows, and which records are letters is known only when all are read:
        the other way keeps what it reads, which costs a quarter of its CPU.

        Raises:
            DataError: when one is.
        """
        rows = spark_pipeline.clean(raw, self._table, self._pipeline.schema)
        outcome = self._target.commit(plan.number, rows, count=None)
        self._tally = self._tally.add(records=outcome.inserted, poison=0)
        return Report(records=outcome.inserted, letters=0, outcome=outcome)

    def _written_apart(self, plan: BatchPlan, raw: DataFrame, lost: Sequence[Gap]) -> Report:
        """Keep rows and letters, write the letters, then the rows."""
        with kept(spark_pipeline.transformed(raw, self._table, self._pipeline.schema)) as frame:
            counts = spark_pipeline.counts(frame)
            tally = self._tally.add(records=counts.records, poison=counts.letters)
            if tally.spoiled:
                raise spoiled(self._table, tally, spark_pipeline.letters_of(frame, most=1))
            nothing = letters.FOUND.empty_table()
            self._tell(plan, spark_pipeline.letters_of(frame) if counts.letters else nothing, lost)
            outcome = (
                self._target.commit(plan.number, spark_pipeline.rows_of(frame), count=counts.rows)
                if counts.rows
                else self._nothing(plan.number)
            )
        self._tally = tally
        # Where there was poison there will be more: then trying is reading twice.
        self._clean = self._table.mode is tables.TableMode.APPEND and not counts.letters
        return Report(records=counts.records, letters=counts.letters, outcome=outcome)

    def _nothing(self, number: int) -> Outcome:
        return self._target.inner.commit(number, self._pipeline.schema.empty_table())

    def _read(self, ranges: spark_sources.Ranges) -> DataFrame:
        clusters = {partition.cluster for partition in ranges}
        return spark_sources.records(
            self._session,
            ranges,
            connections={
                name: spark_sources.connection(self._offsets.reach(name).settings)
                for name in clusters
            },
            record_ids=self.record_ids,
        )

    def _tell(self, plan: BatchPlan, found: pa.Table, lost: Sequence[Gap]) -> None:
        self._letters.write(plan.number, pa.concat_tables([letters.of_gaps(plan.gaps), found]))
        self._letters.write(plan.number, letters.of_gaps(lost), late=True)

    def _demand_next(self, plan: BatchPlan) -> None:
        if self._target.inner.last != plan.number - 1:
            raise Conflict(
                f"batch {plan.number} of table {self._table.ident} is not the next one: another "
                "process has moved the table on. This one goes on from where it is."
            )
