"""Merged tables: whatever engine runs which batch, the rows are what the events come to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.engines.harness import Case, Killed

from penstock.errors import Refused
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.model import tables
from penstock.testing.plugin import Federation

pytestmark = [pytest.mark.real, pytest.mark.contract]

COLUMNS = (
    tables.Column(name="shop", type="string", nullable=False),
    tables.Column(name="id", type="long", nullable=False),
    tables.Column(name="price", type="decimal(10,2)"),
    tables.Column(name="note", type="string"),
)
KEY = ("shop", "id")
POISON: list[bytes | None] = [b"null", b'{"oc": "X"}']

Event = dict[str, Any]
Make = Callable[..., Case]


@pytest.fixture
def make(
    federation: Federation, topic_name: str, tmp_path: Path, spark_settings: SparkSettings
) -> Make:
    def make_case(mode: tables.TableMode, **merge: Any) -> Case:
        table = tables.Table(
            name="merged",
            topic=topic_name,
            environment="test",
            owner="tests",
            path="merged",
            mode=mode,
            columns=COLUMNS,
            merge=tables.Merge(primary_key=KEY, **merge),
        )
        clusters = {"primary": federation.clusters["primary"]}
        return Case(clusters=clusters, table=table, lake=tmp_path / "lake", spark=spark_settings)

    return make_case


def change(operation: str, key: int, at: int, **values: Any) -> Event:
    """Return an event; what is not among the values is absent."""
    return {
        "oc": operation,
        "ns": "public.items",
        "ot": 1_700_000_000_000 + at,
        "sq": at,
        "pk": {"shop": "s", "id": key},
        "va": None if operation == "D" else values,
    }


def history(count: int, *, seed: int) -> list[Event]:
    """Return events of few keys, as one source makes them: each key's make sense in order."""
    chance = random.Random(seed)
    alive: set[int] = set()
    events = []
    for at in range(1, count + 1):
        key = chance.randrange(8)
        if key not in alive:
            events.append(change("I", key, at, price=f"{at}.50", note=f"new {at}"))
            alive.add(key)
        elif chance.random() < 0.25:
            events.append(change("D", key, at))
            alive.remove(key)
        else:
            told = [{"price": f"{at}.25"}, {"note": None}, {"note": f"n{at}", "price": None}]
            events.append(change("U", key, at, **chance.choice(told)))
    return events


def outcome(events: Sequence[Event]) -> dict[int, tuple[str | None, str | None]]:
    """Apply the events one by one in their order: ten lines that cannot be wrong."""
    rows: dict[int, dict[str, Any]] = {}
    for event in sorted(events, key=lambda each: each["sq"]):
        key = event["pk"]["id"]
        if event["oc"] == "D":
            rows.pop(key, None)
        elif event["oc"] == "I":
            rows[key] = {"price": None, "note": None, **event["va"]}
        else:
            rows[key].update(event["va"])
    return {key: (row["price"], row["note"]) for key, row in rows.items()}


def found(case: Case) -> dict[int, tuple[str | None, str | None]]:
    rows = case.rows()
    table = {
        row["id"]: (None if row["price"] is None else str(row["price"]), row["note"])
        for row in rows
    }
    assert len(table) == len(rows)
    return table


def encoded(events: Sequence[Event]) -> list[bytes | None]:
    return [json.dumps(event).encode() for event in events]


@pytest.mark.parametrize(
    "order", [("spark",) * 2, ("embedded",) * 4, ("embedded", "spark", "embedded")]
)
def test_events_in_any_order_with_repeats_come_to_the_same_rows(
    make: Make, order: tuple[str, ...]
) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    events = history(80, seed=4)
    sent = [*events, *events[20:50]]
    random.Random(len(order)).shuffle(sent)
    step = len(sent) // len(order) + 1
    for number, name in enumerate(order):
        part = sent[number * step : (number + 1) * step]
        case.send([*encoded(part), *POISON])
        assert case.step(name) is not None
    assert found(case) == outcome(events)
    assert len(case.letters()) == len(POISON) * len(order)


@pytest.mark.parametrize("point", ["tombstones", "committed"])
def test_a_kill_around_a_merge_changes_nothing_twice(
    make: Make, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    events = history(60, seed=7)
    case.send([*encoded(events[:30]), *POISON])
    case.step("embedded")
    case.send([*encoded(events[30:]), *POISON])
    with case.engine("spark") as engine:
        planned = case.plan(engine)
        assert planned is not None
        target: Any = engine._target  # type: ignore[attr-defined]
        merge = target._merge

        def dying(*arguments: Any) -> None:
            if point == "committed":
                merge(*arguments)
            raise Killed

        monkeypatch.setattr(target, "_merge", dying)
        with pytest.raises(Killed):
            case.run(engine, planned)
    monkeypatch.undo()
    assert (case.step("embedded") is None) == (point == "committed")
    assert found(case) == outcome(events)
    assert len(case.letters()) == 2 * len(POISON)


@pytest.mark.parametrize("count", [3, 20], ids=["inserts", "deletes-too"])
@pytest.mark.parametrize("by", ["embedded", "spark"])
def test_spark_finds_out_that_another_process_was_first_while_it_merged(
    make: Make, by: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    events = history(count, seed=3)
    assert ("D" in {event["oc"] for event in events}) == (count > 3)
    case.send(encoded(events))
    with case.engine("spark") as late:
        case.run_beaten(late, by, monkeypatch)
    assert found(case) == outcome(events)


def test_a_late_change_brings_no_deleted_row_back(make: Make) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    for engine, event in (
        ("embedded", change("I", 1, 1, price="1.00", note="a")),
        ("spark", change("D", 1, 5)),
        ("embedded", change("U", 1, 3, note="late")),
        ("spark", change("U", 1, 4, note="late as well")),
    ):
        case.send(encoded([event]))
        case.step(engine)
    assert found(case) == {}


def test_a_truncation_stops_or_empties_the_table_as_declared(make: Make) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    rows = [change("I", key, key + 1, price="1.00", note="old") for key in range(3)]
    case.send(encoded(rows))
    case.step("embedded")
    emptied = {**change("T", 0, 10), "pk": None, "va": None}
    case.send(encoded([emptied, change("I", 7, 11, price="2.00", note="new")]))
    with pytest.raises(Refused, match="TRUNCATE"):
        case.step("spark")
    applying = replace(case.table.merge, truncation=tables.Truncation.APPLY)
    case.table = replace(case.table, merge=applying)
    case.step("spark")
    assert found(case) == {7: ("2.00", "new")}


def test_a_row_that_changes_its_key_takes_along_what_the_source_did_not_tell(make: Make) -> None:
    case = make(tables.TableMode.MERGE_CDC)
    case.send(encoded([change("I", 1, 1, price="1.00", note="large")]))
    case.step("embedded")
    old, new = ({"shop": "s", "id": key} for key in (1, 2))
    # The source tells both at one place of its log.
    gone = {**change("D", 1, 2), "nk": new}
    come = {**change("I", 2, 2, price="2.00"), "ok": old, "un": ["note"]}
    case.send(encoded([gone, come]))
    case.step("spark")
    assert found(case) == {2: ("2.00", "large")}


def test_records_by_key_keep_the_newest_by_the_declared_order(make: Make) -> None:
    case = make(tables.TableMode.MERGE, order_by=("price",))
    prices = [3, 9, 2, 7, 9, 1]
    for number, price in enumerate(prices):
        record = {"shop": "s", "id": number % 2, "price": f"{price}.00", "note": f"n{number}"}
        case.send([json.dumps(record).encode()])
        if number % 2:
            case.step(("embedded", "spark")[number // 2 % 2])
    assert found(case) == {0: ("9.00", "n4"), 1: ("9.00", "n1")}
