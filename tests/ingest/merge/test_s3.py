"""Merged tables in S3: moto's server, with conditional puts as real S3 has them."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from tests.ingest.merge.worlds import SCHEMA, Event, applied, rows_of, shop, table_of

from penstock.ingest import fresh
from penstock.ingest.locations import Location, locate
from penstock.ingest.targets import merge
from penstock.model import tables
from penstock.runtime import ports
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, wait_until: WaitUntil) -> Iterator[Location]:
    home = tmp_path_factory.mktemp("s3")
    port = ports.allocate(home, ["s3"])["s3"]
    endpoint = f"http://127.0.0.1:{port}"
    # A process of its own: delta-rs may hold the interpreter while it waits for an answer.
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: _has_bucket(endpoint), message="a bucket")
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", **credentials}
    yield locate("lake", lake="s3://lake", environment=environment)
    server.kill()
    server.wait()


def _has_bucket(endpoint: str) -> bool:
    try:
        request = urllib.request.Request(f"{endpoint}/lake", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.URLError:
        return False
    return True


def test_a_table_in_s3_comes_to_what_the_changes_come_to(place: Location) -> None:
    for strategy in (tables.Strategy.COPY_ON_WRITE, tables.Strategy.CHANGE_LOG):
        _check(place.child(strategy.value), strategy)


def _check(place: Location, strategy: tables.Strategy) -> None:
    batches = [
        [Event(key=(n, "x"), operation="I", sequence=1, values={"a": n, "b": "b"}) for n in (1, 2)],
        [
            Event(key=(1, "x"), operation="D", sequence=5),
            Event(key=(2, "x"), sequence=5, values={"a": 5}),
        ],
        [Event(key=(1, "x"), sequence=3, values={"a": 3, "b": "late"})],
    ]
    for number, batch in enumerate(batches, start=1):
        target = merge.open_merge(shop(strategy=strategy), place, SCHEMA)
        target.commit(number, table_of(batch))
        target.tidy()
    rows = [row for piece in fresh.read_fresh(shop(), place) for row in piece.to_pylist()]
    assert rows_of(rows) == applied([event for batch in batches for event in batch])
