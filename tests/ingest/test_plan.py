"""The decisions of ingest, over whatever is thrown at them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.worker_process import make_table

from penstock.errors import ConfigError
from penstock.ingest import plan
from penstock.ingest.settings import Limits
from penstock.model import topics

pytestmark = pytest.mark.unit

SOURCE = plan.Source(cluster="primary", topic="t", partitions=3)
reads = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=60)


def raw(places: list[tuple[int, int]]) -> pa.Table:
    return pa.table(
        {
            "partition": pa.array([p for p, _ in places], pa.int32()),
            "offset": pa.array([o for _, o in places], pa.int64()),
        }
    )


@given(polls=st.lists(reads, max_size=8))
def test_each_offset_passes_once_and_positions_only_grow(
    polls: list[list[tuple[int, int]]],
) -> None:
    positions: plan.Positions = {}
    taken: list[tuple[int, int]] = []
    for poll in polls:
        before = positions
        fresh, first, positions = plan.take(positions, SOURCE, raw(poll))
        new = list(zip(fresh["partition"].to_pylist(), fresh["offset"].to_pylist(), strict=True))
        assert first == {SOURCE.partition(p): o for p, o in reversed(new)}
        taken += new
        assert all(positions[p] >= offset for p, offset in before.items())
    assert len(taken) == len(set(taken))
    for number in range(3):
        offsets = [offset for partition, offset in taken if partition == number]
        assert offsets == sorted(offsets)
        if offsets:
            assert positions[SOURCE.partition(number)] == offsets[-1] + 1


@given(cuts=st.lists(st.integers(0, 30), max_size=6))
def test_a_log_read_in_any_pieces_with_restarts_is_taken_whole(cuts: list[int]) -> None:
    """Each restart reads again from an earlier offset; nothing is taken twice or left out."""
    positions: plan.Positions = {}
    taken: list[int] = []
    for restart_at in [*cuts, 0]:
        begin = min(restart_at, positions.get(SOURCE.partition(0), 0))
        offsets = list(range(begin, 30))[: max(1, restart_at)] if restart_at else range(begin, 30)
        fresh, _, positions = plan.take(positions, SOURCE, raw([(0, o) for o in offsets]))
        taken += fresh["offset"].to_pylist()
    assert taken == list(range(30))


@given(position=st.integers(0, 100), first=st.integers(0, 100), length=st.integers(0, 100))
def test_a_gap_covers_exactly_what_is_gone(position: int, first: int, length: int) -> None:
    partition = SOURCE.partition(1)
    gap = plan.find_gap(partition, position=position, first=first, end=first + length)
    if position > first + length:
        assert gap is None
    else:
        assert gap is not None
        assert gap.first == position
        assert gap.end >= first
        assert gap.records == max(0, first - position)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)).map(lambda t: (t[0], min(t)))))
def test_a_table_stops_only_for_a_share_above_the_limit(
    batches: list[tuple[int, int]],
) -> None:
    tally = plan.Tally(ratio=0.05, sample=100)
    for records, poison in batches:
        tally = tally.add(records=records, poison=poison)
        assert 0 <= tally.poison <= tally.records
        if tally.spoiled:
            assert tally.poison / tally.records > 0.05
    assert not plan.Tally(ratio=0.05, sample=100).add(records=99, poison=99).spoiled
    assert plan.Tally(ratio=0.05, sample=100).add(records=100, poison=6).spoiled


def test_old_records_fade_from_the_tally() -> None:
    tally = plan.Tally(ratio=0.05, sample=100).add(records=1_000_000, poison=0)
    for _ in range(20):
        tally = tally.add(records=100, poison=100)
    assert tally.spoiled


@given(latency_ms=st.integers(1, 10**7), commit_ms=st.floats(0, 10**7))
def test_gathering_keeps_half_of_the_latency(latency_ms: int, commit_ms: float) -> None:
    linger_ms = plan.linger_ms(latency_ms, commit_ms=commit_ms)
    assert latency_ms / 2 <= linger_ms <= latency_ms


def test_every_epoch_that_may_hold_records_is_read() -> None:
    def epoch(number: int, state: topics.EpochState, *homes: tuple[str, str, int]) -> topics.Epoch:
        return topics.Epoch(
            number=number,
            state=state,
            routing=topics.Routing.FAILOVER,
            placements=tuple(
                topics.Placement(cluster=c, topic=t, partitions=n) for c, t, n in homes
            ),
        )

    topic = topics.Topic(
        name="t",
        environment="test",
        owner="tests",
        epochs=(
            epoch(1, topics.EpochState.EXPIRED, ("old", "t", 9)),
            epoch(2, topics.EpochState.SEALED, ("a", "t", 3), ("b", "t", 3)),
            epoch(3, topics.EpochState.OPEN, ("b", "t", 6), ("c", "t.3", 6)),
        ),
    )
    assert [(s.cluster, s.topic, s.partitions) for s in plan.sources(topic)] == [
        ("a", "t", 3),
        ("b", "t", 6),
        ("c", "t.3", 6),
    ]


@given(
    records=st.integers(1, 200),
    open_ms=st.floats(0, 10**4),
    linger_ms=st.floats(0, 10**4),
    more=st.booleans(),
)
def test_a_batch_closes_at_its_bounds_or_in_time(
    records: int, open_ms: float, linger_ms: float, more: bool
) -> None:
    bounds = plan.Bounds(records=100, size_bytes=10_000, drain_ms=500)
    closes = plan.closes(
        bounds, records=records, size_bytes=1, open_ms=open_ms, linger_ms=linger_ms, more=more
    )
    if records >= 100:
        assert closes
    elif more:
        assert closes == (open_ms >= max(linger_ms, 500)), "while behind it grows to its bounds"
    else:
        assert closes == (open_ms >= linger_ms)


def test_where_version_0_1_left_a_table_is_told_by_cluster_topic_and_partition() -> None:
    expected = "penstock/test/landed/primary/t/2"
    assert plan.old_app_id(make_table("t"), SOURCE.partition(2)) == expected


def test_a_difference_names_every_column() -> None:
    declared = {"id": "string", "n": "long", "new": "date"}
    existing = {"id": "string", "n": "double", "old": "date"}
    assert plan.difference(declared=declared, existing=existing) == (
        "new is not in the table; old is not declared; "
        "n is double in the table and long in the declaration"
    )
    assert plan.difference(declared=declared, existing=declared) == ""


def test_limits_that_make_no_sense_are_all_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Limits(batch_records=0, queue_kib=-1, merge_factor=0)
    assert [fault.what for fault in caught.value.faults] == [
        "batch_records is 0",
        "queue_kib is -1",
        "merge_factor is 0",
    ]
