"""Tables with engine: spark, run by the ingest process's worker, by spark-submit, and killed."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from tests.ingest.engines import spark_process
from tests.ingest.engines.changing import change, newest
from tests.ingest.engines.conftest import SHORT_LIVED
from tests.ingest.sources import Source, good, make_source, places, read
from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest.engines import spark_jvm, spark_session
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.ingest.engines.spark_submit import land_waiting
from penstock.ingest.progress import State
from penstock.ingest.settings import Limits, Settings
from penstock.ingest.worker import Worker
from penstock.model import tables
from penstock.testing.plugin import Federation, WaitUntil

pytestmark = pytest.mark.real


@pytest.fixture
def source(federation: Federation, topic_name: str) -> Source:
    return make_source(dict(federation.clusters), topic_name)


@pytest.fixture
def start_ingest(source: Source, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Give a function that starts a process whose one table, of the source, runs on Spark."""
    running: list[subprocess.Popen[bytes]] = []
    told: dict[str, Any] = {
        "home": str(tmp_path / "home"),
        "lake": str(tmp_path / "lake"),
        "bootstraps": source.bootstraps,
        "topics": {source.topic: "append"},
        "options": SHORT_LIVED,
    }

    def start() -> subprocess.Popen[bytes]:
        running.append(spark_process.start(told, log=tmp_path / "process.log"))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_kill_inside_a_commit_of_sparks_neither_loses_nor_doubles(
    *,
    source: Source,
    start_ingest: Callable[[], subprocess.Popen[bytes]],
    wait_until: WaitUntil,
    spark_settings: SparkSettings,
    tmp_path: Path,
) -> None:
    """Killed when the first data file of its commit appears; another process goes on."""
    for cluster in ("primary", "standby"):
        source.send_rows(300, cluster=cluster)
    process = start_ingest()
    landed = tmp_path / "lake/landed"
    wait_until(lambda: any(landed.rglob("*.parquet")), timeout_s=200, message="a data file")
    process.kill()
    process.wait()
    source.send_rows(10, cluster="primary", first=600)
    table = make_table(source.topic, engine=tables.Engine.SPARK)
    snapshot = make_snapshot(source.bootstraps, source.topic)
    progress = land_waiting(
        replace(table, latency_ms=900_000),
        Settings(home=tmp_path, spark=lambda: spark_settings),
        snapshot=lambda: snapshot,
        stopping=threading.Event(),
    )
    assert (progress.rows, progress.lag_records) == (610, 0)
    assert places(read(landed)) == sorted(source.acked)


def test_a_spark_that_dies_in_a_commit_is_started_anew(
    *,
    source: Source,
    start_ingest: Callable[[], subprocess.Popen[bytes]],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    """pyspark would go on asking a JVM that is gone."""
    source.send_rows(100, cluster="primary")
    process = start_ingest()
    landed = tmp_path / "lake/landed"
    wait_until(lambda: any(landed.rglob("*.parquet")), timeout_s=200, message="a data file")
    for child in psutil.Process(process.pid).children():
        child.kill()
    wait_until(
        lambda: places(read(landed)) == sorted(source.acked), timeout_s=200, message="every row"
    )


@pytest.mark.parametrize("mode", [tables.TableMode.APPEND, tables.TableMode.MERGE_CDC])
def test_a_table_goes_to_spark_and_back_while_records_come_in(
    *,
    source: Source,
    wait_until: WaitUntil,
    spark_settings: SparkSettings,
    tmp_path: Path,
    mode: tables.TableMode,
) -> None:
    """Each engine lands several batches of what comes while it runs, the last one what is left."""
    encode = good if mode is tables.TableMode.APPEND else change
    snapshot = make_snapshot(source.bootstraps, source.topic)
    enough = threading.Event()
    sent = itertools.count()

    def load() -> None:
        for cluster in itertools.cycle(source.clusters):
            source.send([encode(next(sent)) for _ in range(20)], cluster=cluster)
            if enough.wait(0.1):
                return

    def expected() -> list[tuple[str, int]]:
        count = len(source.acked)
        if mode is tables.TableMode.APPEND:
            return sorted((f"r{n}", n) for n in range(count))
        return newest(count)

    def landed() -> list[tuple[str, int]]:
        return sorted((row["id"], row["n"]) for row in read(tmp_path / "landed"))

    loader = threading.Thread(target=load)
    loader.start()
    engines = (tables.Engine.EMBEDDED, tables.Engine.SPARK, tables.Engine.EMBEDDED)
    for turn, engine in enumerate(engines, start=1):
        worker = Worker(
            make_table(
                source.topic,
                engine=engine,
                mode=mode,
                partition_by=(),
                merge=tables.Merge(primary_key=("id",)),
            ),
            lake=tmp_path,
            limits=Limits(),
            snapshot=lambda: snapshot,
            spark=lambda: spark_settings,
        )
        worker.start()
        wait_until(
            lambda: len(worker.progress.batches) >= 3,  # noqa: B023
            timeout_s=120,
            message=f"batches by {engine}",
        )
        if turn == len(engines):
            enough.set()
            loader.join()
            wait_until(lambda: landed() == expected(), timeout_s=60, message="every row")
        worker.stop()
        assert worker.join(60)
        assert worker.progress.error == ""


def test_settings_come_to_spark_in_no_argument(spark_settings: SparkSettings) -> None:
    """Arguments are what every user of the machine may read, and there may be passwords."""
    jvm: Any = spark_session.open_session(spark_settings).sparkContext._jvm
    odd = {"a": " é\\ :=# \t!\n"}
    read = jvm.java.util.Properties()
    read.load(jvm.java.io.StringReader(spark_jvm.properties(odd)))
    assert read.getProperty("a") == odd["a"]
    words = [word for each in psutil.Process().children(recursive=True) for word in each.cmdline()]
    assert "--properties-file" in words
    assert not any("spark.sql" in word for word in words)


def test_workers_are_forked_with_the_pipeline_imported(spark_settings: SparkSettings) -> None:
    def parent(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            words = psutil.Process().parent().cmdline()
            yield pa.RecordBatch.from_pydict({"parent": [" ".join(words)]})

    session = spark_session.open_session(spark_settings)
    (row,) = session.range(1).mapInArrow(parent, "parent string").collect()
    assert "penstock.ingest.engines.spark_daemon" in row.parent


def test_a_process_without_spark_says_what_to_install(source: Source, tmp_path: Path) -> None:
    snapshot = make_snapshot(source.bootstraps, source.topic)
    worker = Worker(
        make_table(source.topic, engine=tables.Engine.SPARK),
        lake=tmp_path,
        limits=Limits(),
        snapshot=lambda: snapshot,
    )
    worker.start()
    assert worker.join(60)
    assert worker.progress.state is State.STOPPED
    assert "make extra-spark" in worker.progress.error
