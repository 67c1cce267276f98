"""A poisoned topic: good rows land, bad records are dead letters with reasons, none is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.ingest.sources import Source, good, places, read
from tests.ingest.worker_process import make_table
from tests.ingest.workers import working
from tests.schemas import stub as stubs

from penstock.ingest.progress import State
from penstock.kafka.admin import Admin
from penstock.model import tables
from penstock.testing.plugin import Federation, WaitUntil

pytestmark = pytest.mark.real

LARGE = 10 * 2**20
MESSAGE = 'syntax = "proto3"; message Row { string id = 1; int64 n = 2; }'


@pytest.fixture
def source(federation: Federation, topic_name: str) -> Source:
    """Give a topic that takes records of 10 MB."""
    cluster = federation.clusters["primary"]
    config = {"max.message.bytes": str(2 * LARGE)}
    Admin("primary", cluster.bootstrap).create_topic(
        topic_name, partitions=3, replication=1, config=config
    )
    return Source(topic=topic_name, clusters={"primary": cluster})


def send(source: Source, values: Sequence[bytes | None]) -> None:
    source.send(list(values), cluster="primary", settings={"message.max.bytes": 2 * LARGE})


def poisoned(goods: Sequence[bytes], bads: Sequence[bytes | None]) -> list[bytes | None]:
    """Return the good values with a bad one after every fortieth."""
    values: list[bytes | None] = []
    for n, bad in enumerate(bads):
        values += [*goods[40 * n : 40 * n + 40], bad]
    return [*values, *goods[40 * len(bads) :]]


def letters(lake: Path) -> list[dict[str, object]]:
    return read(lake / "landed_dead_letters")


def assert_every_record_is_told_once(source: Source, lake: Path, bads: set[bytes | None]) -> None:
    poison = [place for place, value in source.acked.items() if value in bads]
    assert places(read(lake / "landed")) == sorted(set(source.acked) - set(poison))
    assert places(letters(lake)) == sorted(poison)
    for letter in letters(lake):
        place = (letter["cluster"], letter["partition"], letter["offset"])
        assert letter["value"] == source.acked[place]  # type: ignore[index]


def test_poisoned_json(source: Source, wait_until: WaitUntil, tmp_path: Path) -> None:
    reasons: dict[bytes | None, str] = {
        b"null": "not a JSON object",
        None: "tombstone",
        good(1)[:20]: "not a JSON object",
        good(1) + good(2): "JSON object",
        b'{"id": "x", "n": "seven"}': "n",
        b'{"n": 1}': "id",
        b'{"id": 5}': "id",
        b"\xff\xfe": "not a JSON object",
        b"": "not a JSON object",
        b'{"id": "' + b"x" * LARGE: "not a JSON object",
    }
    large = json.dumps({"id": "y" * LARGE, "n": -1, "at": "2026-11-01T00:00:00Z"}).encode()
    goods = [*(good(n) for n in range(399)), large]
    send(source, poisoned(goods, list(reasons)))
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 400, message="400 rows")
        wait_until(lambda: len(letters(tmp_path)) == len(reasons), message="the letters")
        assert worker.progress.error == ""
    assert_every_record_is_told_once(source, tmp_path, set(reasons))
    for letter in letters(tmp_path):
        assert reasons[letter["value"]] in str(letter["reason"])  # type: ignore[index]
        assert len(str(letter["reason"])) < 1_000


def protobuf(name: str, n: int, schema: int = 7) -> bytes:
    text = name.encode()
    return b"\0" + schema.to_bytes(4) + b"\0" + b"\x0a" + bytes([len(text)]) + text + bytes([16, n])


def test_poisoned_protobuf(source: Source, wait_until: WaitUntil, tmp_path: Path) -> None:
    whole = protobuf("r1", 1)
    reasons: dict[bytes | None, str] = {
        whole[:-2] + b"\x0a\x50x": "unexpected EOF",
        protobuf("x", 1, schema=8): "8",
        b"\x01" + whole[1:]: "begins with byte 0x01",
        b"": "",
        None: "tombstone",
    }
    with stubs.serve() as registry:
        registry.add(7, MESSAGE, subject=f"{source.topic}-value")
        table = make_table(
            source.topic,
            decoder=tables.Decoder(format=tables.Format.PROTOBUF, registry=registry.url),
            columns=(),
            derived=tuple(
                tables.DerivedColumn(name=name, expression=name)
                for name in ("cluster", "partition", "offset")
            ),
            partition_by=(),
        )
        send(source, poisoned([protobuf(f"r{n}", n % 100) for n in range(200)], list(reasons)))
        with working(source, tmp_path, table=table) as worker:
            wait_until(lambda: worker.progress.rows == 200, message="200 rows")
            wait_until(lambda: len(letters(tmp_path)) == len(reasons), message="the letters")
    assert_every_record_is_told_once(source, tmp_path, set(reasons))
    for letter in letters(tmp_path):
        assert reasons[letter["value"]] in str(letter["reason"])  # type: ignore[index]


def test_five_percent_poison_is_borne_and_one_record_more_stops_the_table_with_a_clear_word(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """Every twentieth record of each partition is poison: however batches fall, it is never more."""
    send(source, [b"poison" if n // 3 % 20 == 19 else good(n) for n in range(600)])
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 570, message="570 rows")
        wait_until(lambda: len(letters(tmp_path)) == 30, message="30 letters")
        assert worker.progress.state is State.RUNNING
        send(source, [b"poison"])
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        for part in (
            (
                "table test/landed stopped: 31 of the latest 601 records cannot be read by its "
                "declaration, more than the 0.05 it bears, e.g. not a JSON object"
            ),
            (
                "Correct the table's columns, or raise its dead-letters.max-ratio to take such records "
                "for dead letters; once applied, it goes on where it stopped."
            ),
        ):
            assert part in worker.progress.error
        assert len(letters(tmp_path)) == 30, "nothing of the batch that is too much"
    patient = make_table(source.topic, dead_letters=tables.DeadLetters(max_ratio=0.2))
    with working(source, tmp_path, table=patient):
        wait_until(lambda: len(letters(tmp_path)) == 31, message="the letter")
    assert_every_record_is_told_once(source, tmp_path, {b"poison"})


def test_mostly_poison_stops_the_table_and_it_goes_on_when_mended(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    send(source, [good(n) for n in range(300)])
    with working(source, tmp_path) as worker:
        wait_until(lambda: worker.progress.rows == 300, message="300 rows")
        send(source, [b"poison" if n % 10 else good(n) for n in range(300)])
        wait_until(lambda: worker.progress.state is State.STOPPED, message="stopped")
        assert "records cannot be read by its declaration, more than the 0.05 it bears" in (
            worker.progress.error
        )
        assert "Correct the table's columns, or raise its dead-letters" in worker.progress.error
    patient = make_table(source.topic, dead_letters=tables.DeadLetters(max_ratio=0.95))
    with working(source, tmp_path, table=patient) as worker:
        wait_until(lambda: worker.progress.rows == 330, message="330 rows")
    assert_every_record_is_told_once(source, tmp_path, {b"poison"})


def test_dead_letters_lie_where_the_table_says(
    source: Source, wait_until: WaitUntil, tmp_path: Path
) -> None:
    table = make_table(
        source.topic, dead_letters=tables.DeadLetters(path="elsewhere/letters", max_ratio=1.0)
    )
    send(source, [b"poison", good(1)])
    with working(source, tmp_path, table=table) as worker:
        wait_until(lambda: worker.progress.rows == 1, message="1 row")
    assert [letter["value"] for letter in read(tmp_path / "elsewhere/letters")] == [b"poison"]
