"""Batches carried out one by one, by either engine, and cut off where a kill would cut them off."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable
from tests.ingest.worker_process import make_snapshot

from penstock.errors import Conflict
from penstock.ingest import letters, plan
from penstock.ingest.batches import read_again
from penstock.ingest.engines import Engine, ReadingEngine, Report
from penstock.ingest.engines.embedded import EmbeddedEngine
from penstock.ingest.engines.spark import open_engine as open_spark
from penstock.ingest.engines.spark_offsets import Offsets, next_batch
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.locations import Location, locate
from penstock.ingest.readers import ClusterReader, Reading
from penstock.kafka import clients
from penstock.kafka.admin import Admin
from penstock.model import tables
from penstock.runtime import embedded

PARTITIONS = 2
LARGEST = 32 * 2**20
CONFIG = {"max.message.bytes": str(LARGEST)}
PATIENT = plan.Tally(ratio=0.9, sample=1_000)
READING = Reading(name="contract", queue_kib=8_192, ends=True)


class Killed(BaseException):
    """What a kill is to the code it hits: no `except Exception` sees it."""


def die_at_commit(monkeypatch: pytest.MonkeyPatch, engine: Any, *, after: bool = False) -> None:
    """End the run before or after the commit of the rows; the batch's letters are written by then.

    Spark takes a batch for good first, and finds out in that commit that it has poison.
    """
    commit = engine._target.commit

    def dying(*arguments: Any, **named: Any) -> Any:
        if named.get("count", 0) is None:
            return commit(*arguments, **named)
        if after:
            commit(*arguments, **named)
        raise Killed

    monkeypatch.setattr(engine._target, "commit", dying)


@dataclass(kw_only=True)
class Case:
    """One table on one topic, carried on by whichever engine is asked."""

    clusters: Mapping[str, embedded.Cluster]
    table: tables.Table
    lake: Path
    spark: SparkSettings | None = None
    tally: plan.Tally = PATIENT
    sent: list[tuple[str, int, int, bytes | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, cluster in self.clusters.items():
            Admin(name, cluster.bootstrap).create_topic(
                self.table.topic, partitions=PARTITIONS, replication=1, config=CONFIG
            )
        bootstraps = {name: cluster.bootstrap for name, cluster in self.clusters.items()}
        self.snapshot = make_snapshot(bootstraps, self.table.topic, partitions=PARTITIONS)
        self.sources = plan.sources(next(iter(self.snapshot.topics.values())))
        self.ledger = Ledger(self.place)

    @property
    def place(self) -> Location:
        return locate(self.table.path, lake=self.lake)

    def send(self, values: Sequence[bytes | None], *, cluster: str = "primary") -> None:
        """Produce the values by turns over the partitions; keep where each came to lie."""

        def acked(error: clients.KafkaError | None, message: Any) -> None:
            assert error is None
            self.sent.append((cluster, message.partition(), message.offset(), message.value()))

        producer = clients.open_producer(
            {
                "bootstrap.servers": self.clusters[cluster].bootstrap,
                "linger.ms": 0,
                "message.max.bytes": LARGEST,
            },
            failures=clients.Failures(),
        )
        for index, value in enumerate(values):
            producer.produce(
                self.table.topic,
                value,
                key=b"k",
                partition=index % PARTITIONS,
                headers=[("ce_id", f"id-{index}".encode())],
                on_delivery=acked,
            )
        assert producer.flush(60) == 0

    def forget(self, before: int) -> None:
        """Let the first cluster delete records of every partition, as its retention would."""
        cluster = next(iter(self.clusters.values()))
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        places = [
            clients.TopicPartition(self.table.topic, number, before) for number in range(PARTITIONS)
        ]
        for answer in admin.delete_records(places).values():
            answer.result(30)

    @contextmanager
    def engine(self, name: str) -> Iterator[Engine]:
        """Open the table as a process that has just started would."""
        common: dict[str, Any] = {
            "letters_place": letters.location(self.table, self.place, lake=self.lake),
            "tally": self.tally,
            "clock": lambda: datetime.now(UTC),
        }
        if name == "embedded":
            opened: Engine = EmbeddedEngine(self.table, self.place, **common)
        else:
            assert self.spark is not None
            opened = open_spark(
                replace(self.table, engine=tables.Engine.SPARK),
                self.place,
                **common,
                clusters=self.snapshot.clusters,
                sources=self.sources,
                settings=self.spark,
                records=1_000_000,
            )
        with closing(opened):
            yield opened

    def plan(self, engine: Engine) -> BatchPlan | None:
        """Return the batch that is planned and not committed, else plan what is there."""
        number = engine.last + 1
        if (pending := self.ledger.read(number)) is not None:
            return pending
        with closing(Offsets(self.snapshot.clusters, name="contract")) as offsets:
            spans = offsets.look_everywhere(self.sources)
        standing = self.ledger.standing(engine.last)
        planned = next_batch(number, standing, spans, records=1_000_000)
        if planned is not None:
            self.ledger.write(planned)
        return planned

    def run(self, engine: Engine, planned: BatchPlan) -> Report:
        """Carry the plan out."""
        if isinstance(engine, ReadingEngine):
            return engine.run(planned, None)
        reading = replace(READING, record_ids=engine.record_ids)
        with self._readers(planned.begin, reading) as readers:
            raw, lost = read_again(planned, readers, stopping=threading.Event())
        return engine.run(planned, raw, lost=lost)

    def step(self, name: str) -> Report | None:
        """Start, run what there is to run, end."""
        with self.engine(name) as engine:
            planned = self.plan(engine)
            return None if planned is None else self.run(engine, planned)

    @contextmanager
    def _readers(self, begin: plan.Positions, reading: Reading) -> Iterator[list[ClusterReader]]:
        with ExitStack() as stack:
            readers = []
            for name, cluster in self.snapshot.clusters.items():
                sources = [source for source in self.sources if source.cluster == name]
                reader = ClusterReader(cluster, sources, begin=begin, reading=reading)
                stack.callback(reader.close)
                readers.append(reader)
            yield readers

    def run_beaten(self, late: Any, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run what there is by Spark; another process commits it once this one has found it is next."""
        planned = self.plan(late)
        assert planned is not None
        inner = late._target.inner
        refresh, looks = inner.refresh, itertools.count(1)

        def looking() -> None:
            refresh()
            if next(looks) == 2:
                self.step(by)

        monkeypatch.setattr(inner, "refresh", looking)
        with pytest.raises(Conflict):
            self.run(late, planned)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table's rows."""
        return _rows(self.place)

    def letters(self) -> list[dict[str, Any]]:
        """Return its dead letters, by origin."""
        found = _rows(letters.location(self.table, self.place, lake=self.lake))
        return sorted(found, key=lambda each: (each["cluster"], each["partition"], each["offset"]))


def _rows(place: Location) -> list[dict[str, Any]]:
    if not DeltaTable.is_deltatable(place.uri):
        return []
    table = DeltaTable(place.uri)
    # Whatever else Spark may have set in its log, delta-rs must be able to go on.
    assert not table.protocol().reader_features
    found: list[dict[str, Any]] = pa.table(table.to_pyarrow_table()).to_pylist()
    return found
