from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.merge.worlds import SCHEMA, Event, shop, table_of

from penstock.ingest import explain, locations
from penstock.ingest.targets import change_log, merge, strategies
from penstock.model.tables import Strategy

AUTO = shop()
LOAD = explain.Load(changes_per_s=1_000)


def chosen(*, rows: int, touched: float | None, latency_ms: int) -> Strategy:
    statistics = explain.Statistics(rows=rows, files=100, touched=touched, changes=10_000)
    return explain.explain(replace(AUTO, latency_ms=latency_ms), statistics, LOAD).strategy


@pytest.mark.unit
@pytest.mark.parametrize(
    ("rows", "touched", "latency_ms", "expected"),
    [
        (0, None, 0, Strategy.COPY_ON_WRITE),
        (100_000, None, 1_000, Strategy.COPY_ON_WRITE),
        (50_000_000, None, 1_000, Strategy.CHANGE_LOG),
        (50_000_000, 1.0, 1_000, Strategy.CHANGE_LOG),
        (50_000_000, 0.001, 1_000, Strategy.COPY_ON_WRITE),
        (50_000_000, 1.0, 900_000, Strategy.COPY_ON_WRITE),
    ],
)
def test_a_log_is_for_low_latency_on_large_tables_with_keys_everywhere(
    rows: int, touched: float | None, latency_ms: int, expected: Strategy
) -> None:
    assert chosen(rows=rows, touched=touched, latency_ms=latency_ms) is expected


@pytest.mark.unit
@pytest.mark.parametrize("declared", [Strategy.COPY_ON_WRITE, Strategy.CHANGE_LOG])
def test_what_is_declared_is_taken(declared: Strategy) -> None:
    statistics = explain.Statistics(rows=10**9, files=100)
    explanation = explain.explain(shop(strategy=declared), statistics, LOAD)
    assert explanation.strategy is declared


@pytest.mark.unit
@given(
    rows=st.integers(0, 10**10),
    touched=st.none() | st.floats(0, 1),
    rate=st.floats(0, 1e6),
    latency_ms=st.integers(0, 3_600_000),
)
def test_it_always_says_why_and_longer_latency_never_costs_more(
    rows: int, touched: float | None, rate: float, latency_ms: int
) -> None:
    statistics = explain.Statistics(rows=rows, files=10, touched=touched, changes=1_000)
    load = explain.Load(changes_per_s=rate)
    soon = explain.explain(replace(AUTO, latency_ms=latency_ms), statistics, load)
    late = explain.explain(replace(AUTO, latency_ms=latency_ms * 2), statistics, load)
    assert len(soon.lines) == 5
    assert late.merge_ratio <= soon.merge_ratio * 1.000001


@pytest.mark.unit
def test_the_arithmetic_is_told_in_words() -> None:
    statistics = explain.Statistics(rows=10_000_000, files=80, touched=1.0, changes=10_000)
    told = " ".join(explain.explain(AUTO, statistics, LOAD).lines)
    assert "100% of the table's 80 files" in told
    assert "10.00 M rows x 0.5 s" in told
    assert "Chosen: change-log" in told


@pytest.mark.unit
def test_what_merges_touched_is_a_share_of_the_files() -> None:
    assert explain.touched_share([(10, 2), (30, 4), (0, 0)], files=10) == (pytest.approx(0.3), 20)
    assert explain.touched_share([], files=10) == (None, 0.0)


@pytest.mark.real
def test_a_table_changes_its_strategy_and_keeps_its_rows(tmp_path: Path) -> None:
    place = locations.locate(str(tmp_path / "t"), lake=tmp_path)
    logged = merge.open_merge(shop(strategy=Strategy.CHANGE_LOG), place, SCHEMA)
    assert isinstance(logged, change_log.ChangeLogTarget)
    logged.commit(1, table_of([Event(key=(1, "x"), sequence=1, values={"a": 1, "b": "b"})]))
    merged = merge.open_merge(shop(strategy=Strategy.COPY_ON_WRITE), place, SCHEMA)
    assert isinstance(merged, merge.MergeTarget)
    assert (merged.rows, merged.last) == (1, 1)
    merged.commit(2, table_of([Event(key=(1, "x"), operation="D", sequence=2)]))
    statistics = strategies.statistics_of(merged.lake)
    assert (statistics.rows, statistics.touched) == (0, None)
    assert merged.lake.merges() == [(1, 1), (1, 0)]
