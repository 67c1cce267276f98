"""A batch is planned, not committed, and what it was to read is declared no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ingest.sources import Source, good, places, read
from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.locations import locate
from penstock.ingest.orders import Kind, Orders
from penstock.ingest.plan import Partition
from penstock.ingest.progress import State
from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.kafka.admin import Admin
from penstock.model import metadata
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


class Declared:
    """The metadata of now: which clusters are declared, and which of them have the topic."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.say(known=source.bootstraps, placed=source.bootstraps)

    def say(self, *, known: dict[str, str], placed: dict[str, str]) -> None:
        whole = make_snapshot(known, self._source.topic)
        topics = make_snapshot(placed, self._source.topic).topics
        self.snapshot = metadata.Snapshot(version=1, clusters=whole.clusters, topics=topics)


@contextmanager
def working(source: Source, declared: Declared, lake: Path) -> Iterator[Worker]:
    worker = Worker(
        make_table(source.topic),
        lake=lake,
        limits=Limits(backoff_s=0.2),
        snapshot=lambda: declared.snapshot,
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        assert worker.join(60)


@pytest.fixture
def planned(source: Source, tmp_path: Path) -> Source:
    """Give a topic with 20 records on each cluster, all of them in a batch that is planned."""
    for name in source.clusters:
        source.send([good(n) for n in range(20)], cluster=name)
    end: dict[Partition, int] = {}
    for cluster, number, offset in source.acked:
        partition = Partition(cluster=cluster, topic=source.topic, number=number)
        end[partition] = max(offset + 1, end.get(partition, 0))
    Ledger(place(tmp_path).place).write(BatchPlan(number=1, begin=dict.fromkeys(end, 0), end=end))
    return source


def place(lake: Path) -> Orders:
    return Orders(locate("landed", lake=lake))


def only(source: Source, cluster: str) -> dict[str, str]:
    return {cluster: source.bootstraps[cluster]}


def acked(source: Source, *clusters: str) -> list[tuple[str, int, int]]:
    return sorted(place for place in source.acked if place[0] in clusters)


def test_the_table_stops_with_the_next_step_and_goes_on_when_the_cluster_is_back(
    planned: Source, tmp_path: Path, wait_until: WaitUntil
) -> None:
    declared = Declared(planned)
    declared.say(known=only(planned, "primary"), placed=only(planned, "primary"))
    with working(planned, declared, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        for part in (
            "batch 1 is planned to read 20 records of standby/",
            "Declare it again until the batch is done",
            "penstock table reset landed --without standby",
        ):
            assert part in worker.progress.error
        assert read(tmp_path / "landed") == []
        declared.say(known=planned.bootstraps, placed=planned.bootstraps)
        wait_until(lambda: worker.progress.rows == 40, message="40 rows")
        wait_until(lambda: worker.progress.error == "", message="no error")
    assert places(read(tmp_path / "landed")) == acked(planned, "primary", "standby")
    assert read(tmp_path / "landed_dead_letters") == []


def test_a_reset_gives_up_what_is_gone_and_nothing_else(
    planned: Source, tmp_path: Path, wait_until: WaitUntil
) -> None:
    declared, orders = Declared(planned), place(tmp_path)
    declared.say(known=only(planned, "primary"), placed=only(planned, "primary"))
    with working(planned, declared, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        order = orders.ask(Kind.RESET, without="standby")
        wait_until(lambda: not orders.is_open(order), message="the order is done")
        planned.send([good(n) for n in range(20, 40)], cluster="primary")
        wait_until(lambda: worker.progress.rows == 40, message="40 rows")
        wait_until(lambda: worker.progress.state is State.RUNNING, message="running")
        # One that is asked of a table that nothing blocks changes nothing.
        again = orders.ask(Kind.RESET, without="standby")
        wait_until(lambda: not orders.is_open(again), message="the second order is done")
    assert places(read(tmp_path / "landed")) == acked(planned, "primary")
    told = read(tmp_path / "landed_dead_letters")
    assert {letter["cluster"] for letter in told} == {"standby"}
    assert sum(int(str(letter["reason"]).split()[0]) for letter in told) == 20
    assert all("were given up" in str(letter["reason"]) for letter in told)

    # Should the cluster come back, the table goes on after what was given up.
    planned.send([good(99)], cluster="standby")
    declared.say(known=planned.bootstraps, placed=planned.bootstraps)
    with working(planned, declared, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 41, message="41 rows")


def test_a_topic_that_is_gone_from_a_cluster_blocks_until_a_reset(
    planned: Source, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A reset to a time gives up what blocks the table, too, and then moves it."""
    declared, orders = Declared(planned), place(tmp_path)
    Admin("standby", planned.bootstraps["standby"]).delete_topic(planned.topic)
    declared.say(known=planned.bootstraps, placed=only(planned, "primary"))
    with working(planned, declared, tmp_path) as worker:
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        assert "--without standby" in worker.progress.error
        order = orders.ask(Kind.RESET, timestamp_ms=1)
        wait_until(lambda: not orders.is_open(order), message="the order is done")
        # All of primary's records again, as was asked.
        wait_until(lambda: worker.progress.rows == 40, message="40 rows")
    assert places(read(tmp_path / "landed")) == sorted(2 * acked(planned, "primary"))


def test_a_placement_that_was_removed_is_read_to_the_end_of_the_batch(
    planned: Source, tmp_path: Path, wait_until: WaitUntil
) -> None:
    declared = Declared(planned)
    declared.say(known=planned.bootstraps, placed=only(planned, "primary"))
    with working(planned, declared, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 40, message="40 rows")
    assert places(read(tmp_path / "landed")) == acked(planned, "primary", "standby")
