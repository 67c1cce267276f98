"""Spark where it is not this process's own: a standalone cluster, Spark Connect, spark-submit.

topic with poison ─▶ process that lands it there ─▶ rows and letters ══ the embedded engine's
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.engines import spark_process
from tests.ingest.engines.changing import change, newest
from tests.ingest.engines.spark_servers import Servers, submitted
from tests.ingest.sources import Source, good, make_source, read
from tests.ingest.test_process import ESTATE, TABLE, apply
from tests.ingest.workers import working

from penstock.ingest.engines import spark_submit
from penstock.ingest.ledger import Ledger
from penstock.ingest.locations import locate
from penstock.model import tables
from penstock.testing.control import running_control_plane
from penstock.testing.plugin import Federation, WaitUntil

# A JVM, its executors and their Pythons start on cores that other tests use as well.
_WITHIN_S = 240
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

POISON: list[bytes | None] = [b"null", b'{"id": "x", "n": "no number"}', b"{"]
Start = Callable[..., Path]


@pytest.fixture
def source(federation: Federation, topic_name: str) -> Source:
    return make_source({"primary": federation.clusters["primary"]}, topic_name)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    started = Servers(home=tmp_path / "servers")
    yield started
    started.end()


@pytest.fixture
def start(tmp_path: Path, source: Source) -> Iterator[Start]:
    """Give a function that lands topics in a process of its own, and returns its lake."""
    running: list[subprocess.Popen[bytes]] = []

    def start_process(topics: Mapping[str, str], **told: Any) -> Path:
        lake = tmp_path / "lake"
        told |= {"home": str(tmp_path / "home"), "lake": str(lake), "topics": topics}
        told |= {"bootstraps": source.bootstraps}
        running.append(spark_process.start(told, log=tmp_path / "process.log"))
        return lake

    yield start_process
    for process in running:
        process.kill()
        process.wait()


def found(table: Path) -> dict[str, list[dict[str, Any]]]:
    """Return rows and letters of a table, less when a letter was found."""
    letters = read(table.with_name(f"{table.name}_dead_letters"))
    return {
        "rows": sorted(read(table), key=lambda row: row["id"]),
        "letters": sorted(
            ({**each, "found_at": None} for each in letters),
            key=lambda each: (each["partition"], each["offset"]),
        ),
    }


def send(source: Source, count: int, *, first: int = 0) -> None:
    rows = [good(n) for n in range(first, first + count)]
    source.send([*rows, *POISON], cluster="primary", partition=0)


def rows_and_letters(table: Path) -> tuple[int, int]:
    """Count them; a table is read again only when it has another commit: Spark needs the cores."""
    return _counted(table, sum(1 for _ in table.glob("_delta_log/*.json")))


@lru_cache
def _counted(table: Path, commits: int) -> tuple[int, int]:
    del commits
    told = found(table)
    return len(told["rows"]), len(told["letters"])


def assert_as_embedded(
    source: Source, table: Path, *, declared: tables.Table, wait_until: WaitUntil
) -> None:
    lake = table.parent.with_name(f"embedded-{declared.name}")
    with working(source, lake, table=declared):
        wait_until(lambda: found(lake / declared.name) == found(table), message="the same")


def in_flight(table: Path, number: int) -> bool:
    """Tell whether a batch is planned and not committed."""
    place = locate(str(table), lake=table.parent)
    return Ledger(place).read(number) is not None


def test_a_standalone_cluster_loses_its_executor_in_mid_stream(
    *, source: Source, servers: Servers, start: Start, wait_until: WaitUntil
) -> None:
    master = servers.start_master()
    servers.start_worker(master)
    send(source, 100)
    lake = start(
        {source.topic: "append"},
        master=master,
        options={
            **servers.options,
            "spark.pyspark.python": sys.executable,
            "spark.executor.memory": "512m",
        },
    )
    landed = lake / "landed"
    wait_until(
        lambda: rows_and_letters(landed) == (100, 3), timeout_s=_WITHIN_S, message="100 rows"
    )
    send(source, 100, first=100)
    wait_until(lambda: in_flight(landed, 2), message="the next batch")
    servers.kill_executor()
    wait_until(
        lambda: rows_and_letters(landed) == (200, 6), timeout_s=_WITHIN_S, message="200 rows"
    )
    declared = spark_process.table(source.topic, "append", engine=tables.Engine.EMBEDDED)
    assert_as_embedded(source, landed, declared=declared, wait_until=wait_until)


def test_a_server_of_spark_connect_appends_and_merges(
    *,
    source: Source,
    servers: Servers,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    changed = make_source(dict(source.clusters), f"{source.topic}-changes")
    send(source, 100)
    changed.send([*map(change, range(100)), *POISON], cluster="primary", partition=0)
    master = servers.start_connect("local[1]")
    wait_until(lambda: servers.listens("connect"), message="the server")
    lake = start({source.topic: "append", changed.topic: "merge-cdc"}, master=master, options={})
    landed, merged = lake / "landed", lake / "merged"
    wait_until(
        lambda: rows_and_letters(landed) == (100, 3), timeout_s=_WITHIN_S, message="100 rows"
    )
    rows = len(newest(100))
    wait_until(
        lambda: rows_and_letters(merged) == (rows, 3), timeout_s=_WITHIN_S, message="changes"
    )
    for name, topic in (("landed", source), ("merged", changed)):
        mode = "append" if name == "landed" else "merge-cdc"
        declared = spark_process.table(topic.topic, mode, engine=tables.Engine.EMBEDDED)
        assert_as_embedded(topic, lake / name, declared=declared, wait_until=wait_until)


def test_spark_submit_lands_what_waits_and_ends(
    *,
    source: Source,
    federation: Federation,
    servers: Servers,
    tmp_path: Path,
) -> None:
    send(source, 100)
    columns = "{id: {type: string, nullable: false}, n: long}"
    table = TABLE.format(name="landed", topic=source.topic, columns=columns)
    landed = tmp_path / "lake/test/landed"
    with running_control_plane(tmp_path, clusters=federation.bootstraps) as control:
        apply(control, [ESTATE.format(topic=source.topic), table])
        submit(servers, control.address, home=tmp_path)
    assert rows_and_letters(landed) == (100, 3)


def submit(servers: Servers, control: str, *, home: Path) -> None:
    """Land the table as a scheduler would."""
    program = servers.environment["SPARK_HOME"] + "/bin/spark-submit"
    where = ["--master", "local[1]", "--jars", servers.jars]
    what = ["--control", control, "--table", "landed", "--once"]
    done = subprocess.run(
        [program, *where, *submitted(servers.options), str(spark_submit.__file__), *what],
        env={**servers.environment, "PENSTOCK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
