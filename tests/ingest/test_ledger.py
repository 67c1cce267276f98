"""Plans, and the small files beside a table."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigError, Conflict, NotReady, Refused
from penstock.ingest import ledger
from penstock.ingest.ledger import BatchPlan, Ledger
from penstock.ingest.locations import locate
from penstock.ingest.plan import Gap, Partition

pytestmark = pytest.mark.unit

partitions = st.builds(
    Partition,
    cluster=st.sampled_from(["a", "b"]),
    topic=st.sampled_from(["t", "t.2"]),
    number=st.integers(0, 3),
)
positions = st.dictionaries(partitions, st.integers(0, 10**12), max_size=8)


def a_plan(number: int, end: int = 5) -> BatchPlan:
    partition = Partition(cluster="a", topic="t", number=0)
    return BatchPlan(number=number, begin={partition: 0}, end={partition: end})


@given(
    begin=positions,
    end=positions,
    gaps=st.lists(
        st.builds(Gap, partition=partitions, first=st.integers(0, 9), end=st.integers(9, 20)),
        max_size=3,
    ),
    kind=st.sampled_from(ledger.Kind),
)
def test_a_plan_is_read_as_it_was_written(
    begin: dict[Partition, int], end: dict[Partition, int], gaps: list[Gap], kind: ledger.Kind
) -> None:
    plan = BatchPlan(
        number=7, begin=begin, end=end, gaps=tuple(gaps), kind=kind, request="r", letters=(1, 2, 3)
    )
    assert ledger.parse(plan.render()) == plan
    assert all(begin[p] == first < last == end[p] for p, (first, last) in plan.ranges.items())


def test_of_many_that_plan_a_batch_one_does(tmp_path: Path) -> None:
    place = locate("t", lake=tmp_path)
    refused: list[int] = []
    begin = threading.Barrier(8)

    def write(end: int) -> None:
        begin.wait()
        try:
            Ledger(place).write(a_plan(1, end))
        except Conflict:
            refused.append(end)

    threads = [threading.Thread(target=write, args=(end,)) for end in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    (kept,) = set(range(1, 9)) - set(refused)
    assert Ledger(place).read(1) == a_plan(1, kept)


def test_a_table_stands_where_its_last_batch_ended_and_old_plans_go(tmp_path: Path) -> None:
    plans = Ledger(locate("t", lake=tmp_path))
    assert plans.standing(0) == {}
    for number in range(1, 101):
        plans.write(a_plan(number, number))
        plans.forget(number)
    assert plans.standing(100) == a_plan(100, 100).end
    assert plans.read(101) is None
    kept = list((tmp_path / "t/_penstock/batches").iterdir())
    assert 16 <= len(kept) <= 40


def test_a_missing_or_broken_plan_of_the_last_batch_is_never_guessed(tmp_path: Path) -> None:
    plans = Ledger(locate("t", lake=tmp_path))
    with pytest.raises(Refused, match="Restore _penstock/batches"):
        plans.standing(3)
    plans.location.put("_penstock/batches/3.json", b"{")
    with pytest.raises(NotReady, match="Restore the file"):
        plans.standing(3)


def test_a_location_keeps_small_files(tmp_path: Path) -> None:
    place = locate("deep/t", lake=tmp_path)
    assert place.names("x") == []
    assert place.get("x/1") is None
    assert place.create("x/1", b"a")
    assert not place.create("x/1", b"b")
    place.put("x/2", b"c")
    assert (place.get("x/1"), place.get("x/2"), place.names("x")) == (b"a", b"c", ["x/1", "x/2"])
    place.delete("x/1", "x/none")
    assert place.child("x").names("") == ["2"]
    assert place.sibling("_letters").uri == f"{tmp_path}/deep/t_letters"


def test_a_location_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a file")
    with pytest.raises(NotReady, match="free space"):
        locate("t", lake=tmp_path).put("x", b"")


def test_urls_take_their_credentials_from_the_environment() -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": "/",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    place = locate("s3://bucket/orders/", lake="/lake", environment=environment)
    assert place.uri == "s3://bucket/orders"
    assert place.path is None
    assert place.storage_options == {
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CONDITIONAL_PUT": "etag",
    }  # fmt: skip
    assert "secret" not in f"{place} {place!r}"
    assert locate("orders", lake="s3://b/lake", environment={}).uri == "s3://b/lake/orders"
    assert locate("/data/x/", lake="s3://b/lake").uri == "/data/x"
    with pytest.raises(ConfigError, match="Write a path, or a URL"):
        locate("ftp://x/y", lake="/lake")
