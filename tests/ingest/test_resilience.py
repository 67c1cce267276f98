"""What ingest does when a part of its world is broken: waits, or stops and says so."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.ingest.sources import Source, good, make_source, places, read
from tests.ingest.worker_process import make_snapshot, make_table
from tests.ingest.workers import working

from penstock.errors import Refused
from penstock.ingest import delta
from penstock.ingest.locations import locate
from penstock.ingest.progress import State
from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.kafka import contents
from penstock.kafka.admin import Admin
from penstock.model import metadata, tables
from penstock.testing.plugin import FreshFederation, WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


def test_a_cluster_that_is_down_is_waited_for_while_the_other_goes_on(
    fresh_federation: FreshFederation, topic_name: str, wait_until: WaitUntil, tmp_path: Path
) -> None:
    federation = fresh_federation()
    source = make_source(dict(federation.clusters), topic_name)
    source.send_rows(30, cluster="primary")
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 30, message="30 rows")
        federation.clusters["primary"].kill()
        wait_until(lambda: "primary" in worker.progress.error, message="the error")
        source.send_rows(30, cluster="standby", first=30)
        wait_until(lambda: worker.progress.rows == 60, message="60 rows")
        assert worker.progress.state is State.RUNNING
        federation.clusters["standby"].kill()
        wait_until(lambda: worker.progress.state is State.WAITING, message="waiting")
        for cluster in federation.clusters.values():
            cluster.start_again()
        source.send_rows(30, cluster="primary", first=60)
        wait_until(lambda: worker.progress.rows == 90, message="90 rows")
        wait_until(
            lambda: worker.progress.state is State.RUNNING and not worker.progress.error,
            message="no more error",
        )
    assert places(read(tmp_path / "landed")) == sorted(source.acked)


def test_a_full_disk_advances_nothing_and_is_told(
    source: Source, run_worker: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """The process may write no file over a few bytes, as on a full disk; then it may again."""
    lake = tmp_path / "lake"
    log = tmp_path / "worker.log"
    source.send_rows(20, cluster="primary")
    process = run_worker(source)
    wait_until(lambda: len(read(lake / "landed")) == 20, message="20 rows")
    # A commit of these records is larger; what the process has to say about it is smaller.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (6_000, resource.RLIM_INFINITY))
    source.send([good(n) for n in range(20, 6_020)], cluster="primary")
    wait_until(lambda: b"cannot be read or written" in log.read_bytes(), message="the error")
    resource.prlimit(
        process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    wait_until(lambda: len(read(lake / "landed")) == 6_020, timeout_s=120, message="6,020 rows")
    assert places(read(lake / "landed")) == sorted(source.acked)


def test_a_lake_that_cannot_be_made_is_waited_for(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    lake.write_text("a file where the directory should be")
    source.send_rows(5, cluster="standby")
    with working(source, lake) as worker:
        wait_until(lambda: "free space" in worker.progress.error, message="the error")
        assert worker.progress.state is State.WAITING
        lake.unlink()
        wait_until(lambda: worker.progress.rows == 5, message="5 rows")


def test_a_table_with_other_columns_is_refused_and_left_alone(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    existing = pa.schema([("id", pa.int64())])
    delta.open_table(locate("landed", lake=tmp_path), existing)
    source.send_rows(5, cluster="primary")
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        assert "id is long in the table and string not null in the declaration" in (
            worker.progress.error
        )
    assert read(tmp_path / "landed") == []


def test_another_partitioning_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("day", pa.date32())])
    delta.open_table(locate("t", lake=tmp_path), schema, partition_by=["day"])
    with pytest.raises(
        Refused, match="the layout is by day in the table and without partitions in the"
    ):
        delta.open_table(locate("t", lake=tmp_path), schema)


def test_much_poison_stops_the_table_before_anything_is_written(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source.send([b"poison"] * 200, cluster="primary")
    with working(source, tmp_path, table=make_table(source.topic, latency_ms=2_000)) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        assert "cannot be read by its declaration" in worker.progress.error
        assert "not a JSON object" in worker.progress.error
    assert read(tmp_path / "landed") == []
    assert read(tmp_path / "landed_dead_letters") == []


def test_records_deleted_before_they_were_read_are_told_as_a_gap(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source.send_rows(30, cluster="primary")
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 30, message="30 rows")
    source.send_rows(30, cluster="primary", first=30)
    admin = Admin("primary", source.clusters["primary"].bootstrap)
    contents.delete_records(admin, source.topic)
    source.send_rows(3, cluster="primary", first=60)
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 33, message="33 rows")
    gaps = read(tmp_path / "landed_dead_letters")
    assert sorted((gap["partition"], gap["offset"]) for gap in gaps) == [(0, 10), (1, 10), (2, 10)]
    assert {gap["reason"].split(" ", 1)[0] for gap in gaps} == {"10"}
    with working(source, tmp_path) as worker:
        source.send_rows(3, cluster="primary", first=63)
        wait_until(lambda: worker.progress.rows == 36, message="36 rows")
    assert len(read(tmp_path / "landed_dead_letters")) == 3


def test_a_topic_made_anew_is_not_taken_for_the_old_one(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    source.send_rows(30, cluster="primary")
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 30, message="30 rows")
    admin = Admin("primary", source.clusters["primary"].bootstrap)
    admin.delete_topic(source.topic)
    wait_until(
        lambda: source.topic not in {p.topic for p in admin.look().partitions}, message="gone"
    )
    admin.create_topic(source.topic, partitions=3, replication=1, config={})
    source.send_rows(3, cluster="primary", first=30)
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        assert "made anew" in worker.progress.error
    assert len(read(tmp_path / "landed")) == 30


def test_more_partitions_and_another_cluster_are_followed_while_it_runs(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    known = [make_snapshot({"primary": source.bootstraps["primary"]}, source.topic, partitions=1)]
    worker = Worker(
        make_table(source.topic), lake=tmp_path, limits=Limits(), snapshot=lambda: known[-1]
    )
    worker.start()
    source.send_rows(9, cluster="primary")
    source.send_rows(9, cluster="standby", first=9)
    wait_until(lambda: worker.progress.rows == 3, message="one partition of primary")
    known.append(make_snapshot(source.bootstraps, source.topic))
    wait_until(lambda: worker.progress.rows == 18, message="everything")
    worker.stop()
    assert worker.join(60)
    assert places(read(tmp_path / "landed")) == sorted(source.acked)


def test_a_topic_nobody_declared_is_waited_for(wait_until: WaitUntil, tmp_path: Path) -> None:
    worker = Worker(
        make_table("nowhere"), lake=tmp_path, limits=Limits(), snapshot=metadata.Snapshot
    )
    worker.start()
    wait_until(lambda: "penstock apply" in worker.progress.error, message="the error")
    worker.stop()
    assert worker.join(60)
    assert worker.progress.state is State.WAITING


def test_small_files_are_joined_and_rows_stay(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    flat = make_table(source.topic, partition_by=(), compaction=tables.Compaction(commits=5))
    with working(source, tmp_path, table=flat) as worker:
        for n in range(12):
            source.send_rows(3, cluster="primary", first=3 * n)
            wait_until(lambda: worker.progress.rows == len(source.acked), message="its rows")
    table = delta.read_table(tmp_path / "landed")
    assert table is not None
    assert table.rows == 36
    assert table.files < 12
    assert places(read(tmp_path / "landed")) == sorted(source.acked)
