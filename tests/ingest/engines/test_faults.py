"""Every mode, decoder and fault, on either engine and on both by turns: the same rows and letters.

    batch 1  records doubled and out of order, poison of every kind; killed once it is planned
    batch 2  older changes after newer ones, deletes, poison again; killed between letters and rows
    batch 3  the schema has evolved; another process has run the batch already

Not here, as there is nothing to test: `merge-cdc` with another decoder than JSON, since change events
are JSON and any other format is refused where the table is declared; a truncated message, an unknown
schema id and two objects in one record in formats that have none of these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.engines import formats
from tests.ingest.engines.formats import HUGE, LARGE, Event, Format, Ground, Value
from tests.ingest.engines.harness import Case, Killed, die_at_commit

from penstock.errors import Conflict
from penstock.ingest.engines import Report
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.model import tables
from penstock.model.tables import TableMode
from penstock.testing.plugin import Federation

pytestmark = [pytest.mark.real, pytest.mark.contract]

ENGINES = {
    "embedded": ("embedded", "embedded"),
    "spark": ("spark", "spark"),
    "by-turns": ("embedded", "spark"),
}
# Which engine goes on where the other was killed does not ask what the records were written in.
BY_TURNS = {formats.as_json, formats.as_changes}
DECODERS = (
    formats.as_json,
    formats.as_registered_protobuf,
    formats.as_described_protobuf,
    formats.as_avro,
    formats.as_function,
)
CELLS = [
    *((mode, write) for mode in (TableMode.APPEND, TableMode.MERGE) for write in DECODERS),
    (TableMode.MERGE_CDC, formats.as_changes),
]

RUNS = [
    pytest.param(mode, write, engines, id=f"{mode}-{write.__name__.removeprefix('as_')}-{name}")
    for mode, write in CELLS
    for name, engines in ENGINES.items()
    if name != "by-turns" or write in BY_TURNS
]

ID = tables.Column(name="id", type="string", nullable=False)
NOTE = tables.Column(name="note", type="string")
BEFORE = (ID, tables.Column(name="n", type="integer"), NOTE)
AFTER = (
    ID,
    tables.Column(name="n", type="long"),
    NOTE,
    tables.Column(name="extra", type="string"),
)

EVENTS = [Event(f"é{n}", n) for n in range(10)]
FIRST = [
    *EVENTS,
    *EVENTS[2:6],
    *(Event(f"é{n}", 20 + n) for n in range(4)),
    Event("large", 50, note="x" * LARGE),
]
SECOND = [
    Event("é1", 40),
    Event("é5", 1),
    Event("é2", 41, gone=True),
    Event("é4", 42, gone=True),
    *EVENTS[4:7],
    Event("é10", 10),
]
THIRD = [
    Event("é2", 30),
    replace(HUGE, id="é11"),
    replace(HUGE, id="é12", extra="new"),
    Event("é3", 60, extra="new"),
]


@dataclass
class Told:
    """What was sent so far: events, and values that are poison."""

    events: list[Event]
    bad: list[Value]


@pytest.mark.parametrize(("mode", "write", "engines"), RUNS)
def test_records_are_rows_or_letters_once_whatever_happens(
    *,
    federation: Federation,
    topic_name: str,
    tmp_path: Path,
    spark_settings: SparkSettings,
    registry: str,
    register: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    mode: TableMode,
    write: Callable[[Ground], Format],
    engines: tuple[str, str],
) -> None:
    one, other = engines
    how = write(
        Ground(
            directory=tmp_path, registry=registry, register=register, subject=f"{topic_name}-value"
        )
    )
    case = Case(
        clusters={"primary": federation.clusters["primary"]},
        table=declared(topic_name, mode, how.decoder),
        lake=tmp_path / "lake",
        spark=spark_settings,
    )
    told = Told([], [])

    sent = send(case, how, told, FIRST, [*how.poison, None])  # a tombstone, poison or not
    with case.engine(one) as killed:
        assert case.plan(killed) is not None
    assert_counted(case.step(other), sent)
    assert_told_once(case, how, told)

    sent = send(case, how, told, SECOND, list(how.poison)[:2])
    with case.engine(other) as killed:
        planned = case.plan(killed)
        assert planned is not None
        die_at_commit(monkeypatch, killed)
        with pytest.raises(Killed):
            case.run(killed, planned)
    assert len(case.letters()) == len(told.bad)
    assert_counted(case.step(one), sent)
    assert_told_once(case, how, told)

    case.table = replace(case.table, columns=AFTER, evolution=tables.Evolution.WIDEN)
    send(case, how, told, THIRD, [])
    with case.engine(one) as late:
        planned = case.plan(late)
        assert planned is not None
        case.step(other)
        with pytest.raises(Conflict):
            case.run(late, planned)
    assert_told_once(case, how, told)


def declared(topic: str, mode: TableMode, decoder: tables.Decoder) -> tables.Table:
    return tables.Table(
        name="faults",
        topic=topic,
        environment="test",
        owner="tests",
        path="faults",
        mode=mode,
        decoder=decoder,
        columns=BEFORE,
        derived=(tables.DerivedColumn(name="twice", expression="n * 2"),),
        merge=tables.Merge(primary_key=("id",), order_by=("n",) if mode is TableMode.MERGE else ()),
    )


def send(
    case: Case, how: Format, told: Told, events: Sequence[Event], poison: Sequence[Value]
) -> tuple[int, int]:
    """Send the events and the poison in any order; return how many records, and how many are bad.

    A delete is sent only in the mode that has any.
    """
    if case.table.mode is not TableMode.MERGE_CDC:
        events = [event for event in events if not event.gone]
    values = [*map(how.encode, events), *poison]
    random.Random(len(told.events)).shuffle(values)
    case.send(values)
    told.events += events
    bad = [value for value in poison if value in how.poison]
    told.bad += bad
    return len(values), len(bad)


def assert_counted(report: Report | None, sent: tuple[int, int]) -> None:
    assert report is not None
    assert (report.records, report.letters) == sent


def assert_told_once(case: Case, how: Format, told: Told) -> None:
    rows = [
        (row["id"], row["n"], row["twice"], row.get("extra"), row["note"][:9], len(row["note"]))
        for row in case.rows()
    ]
    assert sorted(rows) == sorted(expected(case.table.mode, told.events))
    places = {(partition, offset): value for _, partition, offset, value in case.sent}
    found = case.letters()
    assert sorted(map(repr_of, (each["value"] for each in found))) == sorted(map(repr_of, told.bad))
    assert len({(each["partition"], each["offset"]) for each in found}) == len(found)
    for letter in found:
        assert letter["value"] == places[letter["partition"], letter["offset"]]
        assert how.poison[letter["value"]] in letter["reason"]
        assert len(letter["reason"]) < 1_000


def expected(mode: TableMode, events: Sequence[Event]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of the events: of every one, or of each id's newest if that is no delete."""
    if mode is not TableMode.APPEND:
        events = list({event.id: event for event in sorted(events, key=lambda e: e.n)}.values())
    for event in events:
        if not event.gone:
            yield event.id, event.n, 2 * event.n, event.extra, event.note[:9], len(event.note)


def repr_of(value: Value) -> str:
    return repr(value if value is None else value[:80])
