"""Derived columns and dead letters."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from tests.ingest.worker_process import make_table

from penstock.errors import ConfigError
from penstock.ingest import decoders, plan, rows
from penstock.ingest.records import Records
from penstock.model import tables

pytestmark = pytest.mark.unit

EXPRESSIONS = (
    "date(at)",
    "cluster",
    "topic",
    "partition",
    "offset",
    "key",
    "record_id",
    "event_time",
)


def records(values: list[bytes | None], *, keys: list[bytes | None]) -> Records:
    return Records(
        source=plan.Source(cluster="primary", topic="orders.1", partitions=2),
        partitions=[1] * len(values),
        offsets=list(range(10, 10 + len(values))),
        keys=keys,
        values=values,
        timestamps_ms=[1_795_000_000_123] * len(values),
        record_ids=["r-1"] * len(values),
    )


def test_every_expression_gives_its_column() -> None:
    table = make_table(
        "orders",
        derived=tuple(
            tables.DerivedColumn(name=f"c{n}", expression=e) for n, e in enumerate(EXPRESSIONS)
        ),
    )
    read = records([b'{"id": "a", "at": "2026-11-21T23:59:59Z"}'], keys=[b"k"])
    decoded = decoders.decode(read.values, table.columns, decoder=decoders.decode_json, refused={})
    (row,) = rows.rows(table, decoded.columns, read).to_pylist()
    assert [row[f"c{n}"] for n in range(len(EXPRESSIONS))] == [
        date(2026, 11, 21), "primary", "orders.1", 1, 10, "k", "r-1",
        datetime.fromtimestamp(1_795_000_000.123, UTC),
    ]  # fmt: skip


def test_an_unknown_expression_is_refused_with_what_is_known() -> None:
    table = make_table("t", derived=(tables.DerivedColumn(name="x", expression="upper(id)"),))
    with pytest.raises(ConfigError, match=r"date\(<column>\).*record_id"):
        rows.schema(table)


def test_a_key_that_is_no_text_is_refused_only_where_there_is_a_column_of_it() -> None:
    read = records([b"{}", b"{}"], keys=[b"\xff", None])
    assert list(rows.refuse(make_table("t"), read)) == [0]
    assert rows.refuse(make_table("t", derived=()), read) == {}


def test_a_letter_keeps_the_bytes_and_the_origin() -> None:
    letter = rows.Letter(
        reason="r", partition=plan.Partition(cluster="c", topic="t", number=3), offset=5,
        timestamp_ms=0, key=b"\xff", value=b"\x00",
    )  # fmt: skip
    at = datetime(2026, 11, 21, tzinfo=UTC)
    assert rows.letters([letter], at=at).to_pylist() == [
        {
            "reason": "r", "cluster": "c", "topic": "t", "partition": 3, "offset": 5,
            "event_time": datetime(1970, 1, 1, tzinfo=UTC), "key": b"\xff", "value": b"\x00",
            "found_at": at,
        }
    ]  # fmt: skip
