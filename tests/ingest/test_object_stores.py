"""Tables in S3: moto's server with conditional puts, as real S3 has them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.ingest.sources import Source, good, places
from tests.ingest.workers import working
from tests.platforms import Platform, bare_environment, running

from penstock.errors import NotReady
from penstock.ingest import delta
from penstock.ingest.leases import Lease
from penstock.ingest.locations import locate
from penstock.ingest.owners import me
from penstock.runtime import ports
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an S3 account with one bucket; give its endpoint."""
    home = tmp_path_factory.mktemp("s3")
    port = ports.allocate(home, ["s3"])["s3"]
    endpoint = f"http://127.0.0.1:{port}"
    with (home / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            try:
                request = urllib.request.Request(f"{endpoint}/lake", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                break
            except urllib.error.URLError:
                threading.Event().wait(0.1)
        yield endpoint
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def lake(s3: str, topic_name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://lake/{topic_name}"


def rows(lake: str, name: str) -> list[dict[str, object]]:
    table = delta.read_table(locate(name, lake=lake))
    found: list[dict[str, object]] = table.newest(10**6).to_pylist() if table else []
    return found


def test_kills_in_a_commit_to_s3_neither_lose_nor_double(
    source: Source, run_worker: Start, wait_until: WaitUntil, lake: str
) -> None:
    for n, point in enumerate(("planned", "between", "before", "after")):
        source.send([good(m) for m in range(20 * n, 20 * n + 20)] + [b"poison"], cluster="primary")
        process = run_worker(source, lake=lake, die=point)
        assert process.wait(60) == -signal.SIGKILL
    with working(source, lake) as worker:
        wait_until(lambda: worker.progress.rows == 80, message="80 rows")
        assert worker.progress.error == ""
    poison = {place for place, value in source.acked.items() if value == b"poison"}
    assert places(rows(lake, "landed")) == sorted(set(source.acked) - poison)
    assert places(rows(lake, "landed_dead_letters")) == sorted(poison)


def test_a_lake_in_s3_holds_tables_and_what_processes_share(
    lake: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    home = tmp_path / "home"
    with running(home, "--lake", lake) as platform:
        platform.run("table", "show", "host-metrics", "--wait", "60")
        table = locate(platform.json("table", "list")[0]["path"], lake="")
        assert table.uri.startswith(f"{lake}/")
        assert table.names("_penstock/batches")
        assert table.names("_penstock/lease")
        assert locate(".penstock", lake=lake).names("processes")

        platform.run("down")
        before = delta.read_table(table)
        assert before is not None
        platform.run("up", "--detach")
        wait_until(lambda: len(rows(table.uri, "")) > before.rows, message="it goes on there")
    assert not (home / "lake").exists(), "and the home has remembered where"


def test_a_lake_in_no_known_store_starts_nothing(tmp_path: Path) -> None:
    platform = Platform(home=tmp_path, environment=bare_environment(tmp_path))
    refused = platform.run("up", "--lake", "ftp://lake", "--detach", expect=3)
    assert "in no store that is known" in refused.stderr
    assert not (tmp_path / "lake.json").exists()


def test_of_processes_that_want_something_in_s3_one_has_it(lake: str) -> None:
    place = locate("t", lake=lake)
    begin = threading.Barrier(6)
    created: list[bool] = []
    leased: list[bool] = []

    def want() -> None:
        lease = Lease(place, owner=me(), lasts_s=60)
        begin.wait()
        created.append(place.create("_penstock/batches/1.json", b"{}"))
        leased.append(lease.take())

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert created.count(True) == 1
    assert leased.count(True) == 1
    assert place.names("_penstock/batches") == ["_penstock/batches/1.json"]
    place.delete("_penstock/batches/1.json", "_penstock/none")
    assert place.get("_penstock/batches/1.json") is None


def test_a_bucket_that_is_not_there_is_told(lake: str) -> None:
    with pytest.raises(NotReady, match="cannot be read or written"):
        locate("s3://nowhere-at-all/t", lake=lake).put("x", b"")


def test_credentials_are_never_in_a_message(lake: str, tmp_path: Path) -> None:
    place = locate("t", lake=lake)
    assert "test" not in str(place).replace("test-credentials", "")
    assert place.path is None
    assert locate("t", lake=tmp_path).storage_options == {}
