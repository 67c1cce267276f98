"""One suite over both engines: the same declaration and topic give the same rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.engines.harness import Case, Killed, die_at_commit

from penstock.errors import Conflict, DataError
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.ingest.plan import Tally
from penstock.model import tables
from penstock.testing.plugin import Federation

pytestmark = [pytest.mark.real, pytest.mark.contract]

ENGINES = ("embedded", "spark")
COLUMNS = (
    tables.Column(name="id", type="string", nullable=False),
    tables.Column(name="n", type="long"),
    tables.Column(name="at", type="timestamp"),
    tables.Column(name="tags", type="array<string>"),
    tables.Column(name="shape", type="struct<w: int, h: decimal(10,2)>"),
)
DERIVED = tuple(
    tables.DerivedColumn(name=name, expression=expression)
    for name, expression in {
        "day": "date(at)",
        "twice": "n * 2",
        "part": "kafka.partition",
        "place": "kafka.offset",
        "record": "kafka.record_id",
    }.items()
)
POISON: list[bytes | None] = [b"null", b'{"id": "x", "n": "no number"}', b"{", None]

Make = Callable[..., Case]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(
    federation: Federation, topic_name: str, tmp_path: Path, spark_settings: SparkSettings
) -> Make:
    def make_case(*, clusters: tuple[str, ...] = ("primary",), **changes: Any) -> Case:
        declared: dict[str, Any] = {
            "name": "landed",
            "topic": topic_name,
            "environment": "test",
            "owner": "tests",
            "path": "landed",
            "columns": COLUMNS,
            "derived": DERIVED,
            "partition_by": ("day",),
        }
        return Case(
            clusters={name: federation.clusters[name] for name in clusters},
            table=tables.Table(**{**declared, **changes}),
            lake=tmp_path / "lake",
            spark=spark_settings,
        )

    return make_case


def event(n: int) -> bytes:
    told = {
        "id": f"r{n}",
        "n": n,
        "at": f"2026-11-{1 + n % 3:02}T00:00:00.000001Z",
        "tags": [None, "é", str(n)][: n % 4],
        "shape": {"w": n, "h": f"{n}.25"} if n % 5 else None,
    }
    return json.dumps(told).encode()


def good(count: int, *, first: int = 0) -> list[bytes | None]:
    return [event(n) for n in range(first, first + count)]


def assert_each_record_is_told_once(case: Case) -> None:
    rows, told = case.rows(), case.letters()
    expected = {
        json.loads(value)["id"]: (partition, offset)
        for _, partition, offset, value in case.sent
        if value is not None and value not in POISON
    }
    assert {row["id"]: (row["part"], row["place"]) for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        n = row["n"]
        assert row["id"] == f"r{n}"
        assert row["twice"] == 2 * n
        assert row["at"].date() == row["day"]
        assert row["at"].microsecond == 1
        assert row["tags"] == [None, "é", str(n)][: n % 4]
        assert (row["shape"] is None) == (n % 5 == 0)
        assert row["shape"] is None or str(row["shape"]["h"]) == f"{n}.25"
        assert row["record"].startswith("id-")
    bad = [(p, o, v) for _, p, o, v in case.sent if v is None or v in POISON]
    assert sorted((each["partition"], each["offset"]) for each in told) == sorted(
        (partition, offset) for partition, offset, _ in bad
    )
    assert sorted(str(each["value"]) for each in told) == sorted(str(v) for _, _, v in bad)
    assert all(each["reason"] for each in told)


@pytest.mark.parametrize("point", ["planned", "letters", "committed"])
def test_a_kill_neither_loses_nor_doubles(
    make: Make, engine: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make()
    case.send([*good(20), *POISON])
    with case.engine(engine) as first:
        planned = case.plan(first)
        assert planned is not None
        if point != "planned":
            die_at_commit(monkeypatch, first, after=point == "committed")
            with pytest.raises(Killed):
                case.run(first, planned)
    monkeypatch.undo()
    case.send([*POISON, *good(20, first=20)])
    again = case.step(engine)
    assert again is not None
    assert again.records == 24
    case.step(engine)
    assert_each_record_is_told_once(case)


def test_a_batch_that_is_run_again_after_its_commit_is_refused(make: Make, engine: str) -> None:
    case = make()
    case.send([*good(5), *POISON])
    with case.engine(engine) as late:
        planned = case.plan(late)
        assert planned is not None
        case.step(engine)
        with pytest.raises(Conflict):
            case.run(late, planned)
    assert_each_record_is_told_once(case)


@pytest.mark.parametrize("by", ENGINES)
def test_spark_finds_out_that_another_process_was_first_while_it_wrote(
    make: Make, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark leaves such a write out in silence, and what would count its rows never comes."""
    case = make()
    case.send(good(10))
    with case.engine("spark") as late:
        case.run_beaten(late, by, monkeypatch)
        case.send(good(5, first=10))
        again = case.plan(late)
        assert again is not None
        assert case.run(late, again).outcome.inserted == 5
    assert_each_record_is_told_once(case)


def test_much_poison_stops_the_table_before_anything_is_written(make: Make, engine: str) -> None:
    case = make()
    case.send([*good(20), *POISON])
    case.tally, patient = Tally(ratio=0.05, sample=10), case.tally
    with pytest.raises(DataError, match=r"4 of the latest 24 .* raise its dead-letters"):
        case.step(engine)
    assert (case.rows(), case.letters()) == ([], [])
    case.tally = patient
    case.step(engine)
    assert_each_record_is_told_once(case)


def test_records_that_are_gone_are_told_as_gaps(make: Make, engine: str) -> None:
    """Some before they were ever planned, some between the plan and its run."""
    case = make()
    case.send(good(8))
    case.step(engine)
    case.send(good(8, first=8))
    case.forget(6)
    with case.engine(engine) as planner:
        planned = case.plan(planner)
    assert planned is not None
    case.forget(7)
    case.step(engine)
    told = {(each["partition"], each["offset"]): each["reason"] for each in case.letters()}
    assert sorted(told) == [(0, 4), (0, 6), (1, 4), (1, 6)]
    assert all("deleted on the cluster" in reason for reason in told.values())
    offsets = sorted((row["part"], row["place"]) for row in case.rows())
    assert offsets == sorted(itertools.product((0, 1), (0, 1, 2, 3, 7)))


def test_poison_after_good_batches_is_told_by_the_same_engine(make: Make, engine: str) -> None:
    """Spark writes a batch straight through until one has poison, and again when one has none."""
    case = make()
    with case.engine(engine) as opened:
        for number, bad in enumerate([[], POISON, [], POISON, []]):
            case.send([*good(10, first=10 * number), *bad])
            planned = case.plan(opened)
            assert planned is not None
            report = case.run(opened, planned)
            assert (report.records, report.letters) == (10 + len(bad), len(bad))
            assert report.outcome.inserted == 10
    assert_each_record_is_told_once(case)


def test_a_table_goes_from_engine_to_engine_in_mid_stream(make: Make) -> None:
    case = make(clusters=("primary", "standby"))
    for number, name in enumerate(["embedded", "spark", "embedded", "spark"]):
        cluster = ("primary", "standby")[number // 2]
        case.send([*good(10, first=10 * number), *POISON], cluster=cluster)
        assert case.step(name) is not None
    assert_each_record_is_told_once(case)
