"""What Spark is told: settings, connections, ranges. No JVM is started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.worker_process import make_snapshot, make_table

from penstock.errors import ConfigError, Conflict, NotReady, PenstockError, Refused
from penstock.ingest.attempts import Attempt
from penstock.ingest.engines import spark_pipeline, spark_session, spark_sources, spark_submit
from penstock.ingest.engines.spark_commits import uri
from penstock.ingest.engines.spark_offsets import missing, next_batch
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.ingest.locations import Location
from penstock.ingest.plan import Partition
from penstock.ingest.progress import Progress, State
from penstock.ingest.settings import Settings
from penstock.runtime import spark

pytestmark = pytest.mark.unit

HERE = [Partition(cluster="c", topic="t", number=n) for n in range(3)]


def test_a_local_spark_listens_on_loopback_only(tmp_path: Path) -> None:
    told = spark_session.configuration(SparkSettings(work=tmp_path, jars=(Path("/a.jar"),)))
    assert told["spark.driver.bindAddress"] == told["spark.driver.host"] == "127.0.0.1"
    assert told["spark.ui.enabled"] == "false"
    assert told["spark.jars"] == "/a.jar"
    assert told["spark.local.dir"].startswith(str(tmp_path))


@pytest.mark.parametrize("master", ["", "local[2]", "spark://h:7077", "sc://h:15002"])
def test_every_spark_keeps_utc_and_writes_no_deletion_vectors(master: str) -> None:
    told = spark_session.configuration(SparkSettings(master=master, options={"a": "b"}))
    assert told["spark.sql.session.timeZone"] == "UTC"
    assert told["spark.databricks.delta.properties.defaults.enableDeletionVectors"] == "false"
    assert told["a"] == "b"
    assert ("spark.driver.host" in told) == master.startswith("local")
    assert ("spark.sql.extensions" in told) == (not master.startswith("sc://"))


def test_the_jars_are_locked_to_the_version_of_pyspark() -> None:
    paths = [artifact.path for artifact in spark.jars()]
    assert any(f"spark-sql-kafka-0-10_2.13-{spark.SPARK_VERSION}" in path for path in paths)
    assert len(paths) == 10


def test_a_remote_spark_needs_nothing_here(tmp_path: Path) -> None:
    told = spark.settings(tmp_path, master="sc://spark.example:15002")
    assert (told.jars, told.java, list(tmp_path.iterdir())) == ((), None, [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: `delta`.", ConfigError),
        ("Failed to find data source: kafka. Please deploy", ConfigError),
        ("[DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG] This", ConfigError),
        ("[DELTA_CONCURRENT_APPEND] Files were added", Conflict),
        ("[Errno 111] Connection refused", NotReady),
    ],
)
def test_what_spark_says_is_told_by_what_there_is_to_do(
    text: str, error: type[PenstockError]
) -> None:
    with pytest.raises(error), spark_session.translated("here"):
        raise OSError(text)


def test_a_master_after_the_submitted_program_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = ["--table", "t", "--once", "--home", str(tmp_path), "--master", "local[2]"]
    assert spark_submit.main(told) == ConfigError.exit_code
    assert "spark-submit --master local[2]" in capsys.readouterr().err


@pytest.mark.parametrize(("conflicts", "lands"), [(4, True), (5, False)])
def test_a_submitted_run_goes_on_where_another_process_is_unless_that_is_always_faster(
    conflicts: int, *, lands: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beaten = iter(range(conflicts))

    def run(_: Attempt, progress: Progress) -> Iterator[Progress]:
        yield replace(progress, state=State.RUNNING, lag_records=3)
        for _ in beaten:
            raise Conflict("another process has moved the table on")
        yield replace(progress, state=State.RUNNING, rows=3, lag_records=0)

    monkeypatch.setattr(Attempt, "run", run)
    with nullcontext() if lands else pytest.raises(Conflict):
        progress = spark_submit.land_waiting(
            make_table("orders"),
            Settings(home=tmp_path),
            snapshot=lambda: make_snapshot({"primary": "127.0.0.1:1"}, "orders"),
            stopping=threading.Event(),
        )
        assert (progress.rows, progress.lag_records) == (3, 0)


def test_security_settings_become_javas(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("CA")
    told = spark_sources.connection(
        {
            "bootstrap.servers": "h:1",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "u",
            "sasl.password": 'p"\\',
            "ssl.ca.location": str(ca),
        }
    )
    assert told["kafka.bootstrap.servers"] == "h:1"
    assert told["kafka.ssl.truststore.certificates"] == "CA"
    assert 'password="p\\"\\\\";' in told["kafka.sasl.jaas.config"]


def test_a_setting_without_a_counterpart_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="oauth_cb"):
        spark_sources.connection({"bootstrap.servers": "h:1", "oauth_cb": print})


def test_types_are_declared_as_spark_writes_them() -> None:
    schema = pa.schema([("a`b", pa.list_(pa.string())), ("s", pa.struct([("x", pa.int32())]))])
    assert spark_pipeline.ddl(schema) == "`a``b` array<string>, `s` struct<x: integer>"


def test_places_are_named_as_hadoop_names_them() -> None:
    assert uri(Location(uri="/lake/t")) == "file:///lake/t"
    assert uri(Location(uri="s3://b/t")) == "s3a://b/t"


spans = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda s: (min(s), max(s)))


@given(
    seen=st.dictionaries(st.sampled_from(HERE), spans, min_size=1),
    standing=st.dictionaries(st.sampled_from(HERE), st.integers(0, 50)),
    records=st.integers(1, 100),
)
def test_batches_reach_every_offset_once_and_tell_every_gap(
    seen: dict[Partition, tuple[int, int]], standing: dict[Partition, int], records: int
) -> None:
    standing = {p: min(at, seen[p][1]) for p, at in standing.items() if p in seen}
    told: dict[Partition, list[int]] = {p: [] for p in seen}
    positions: dict[Partition, int] = dict(standing)
    number = 1
    while (batch := next_batch(number, positions, seen, records=records)) is not None:
        assert sum(end - first for first, end in batch.ranges.values()) <= records + len(seen)
        ranges, lost = missing(batch.ranges, seen, gaps=batch.gaps)
        assert not lost
        for gap in batch.gaps:
            told[gap.partition] += range(gap.first, gap.end)
        for partition, (first, end) in ranges.items():
            told[partition] += range(first, end)
        positions = dict(batch.end)
        number += 1
    for partition, (first, end) in seen.items():
        assert told[partition] == list(range(standing.get(partition, first), end))


def test_what_is_lost_after_the_plan_is_told_and_not_read() -> None:
    batch = next_batch(1, {HERE[0]: 2}, {HERE[0]: (4, 10)}, records=100)
    assert batch is not None
    ranges, lost = missing(batch.ranges, {HERE[0]: (7, 10)}, gaps=batch.gaps)
    assert ranges == {HERE[0]: (7, 10)}
    assert [(gap.first, gap.end) for gap in batch.gaps] == [(2, 4)]
    assert [(gap.first, gap.end) for gap in lost] == [(4, 7)]


def test_a_topic_that_was_made_anew_is_refused() -> None:
    with pytest.raises(Refused, match="made anew"):
        next_batch(1, {HERE[0]: 5}, {HERE[0]: (0, 3)}, records=10)
    with pytest.raises(Refused, match="made anew"):
        missing({HERE[0]: (0, 5)}, {HERE[0]: (0, 3)}, gaps=())
