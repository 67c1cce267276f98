"""A PostgreSQL table read back as Arrow is the same values, cut into ranges that miss nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import psycopg
import pyarrow as pa
import pytest

from penstock.errors import ConfigError, NotReady
from penstock.ingest.verifying import postgres

pytestmark = pytest.mark.real

COLUMNS = pa.schema(
    [
        ("id", pa.int64()),
        ("code", pa.string()),
        ("price", pa.decimal128(18, 2)),
        ("ratio", pa.float64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("open", pa.bool_()),
        ("raw", pa.binary()),
        ("note", pa.string()),
    ]
)
CREATE = """
CREATE TABLE things (id bigint, code text, price numeric(18,2), ratio float8, at timestamptz,
    day date, open boolean, raw bytea, note text, PRIMARY KEY (code, id))
"""
AT = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
FULL = (1, "a", Decimal("-12.50"), 0.1, AT, date(2024, 2, 29), True, b"\x00\xff", 'x,"\n')
EMPTY = (2, "", None, None, None, None, None, b"", "")
NULLS = (3, "ü", None, float("-inf"), None, None, False, None, None)


@pytest.fixture
def table(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS things")
        connection.execute(CREATE)
        yield connection


def insert(connection, *values):
    places = ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO things VALUES ({places})", values)


def read(database, **options):
    with postgres.opened(database, "things", columns=COLUMNS, key=["code", "id"]) as snapshot:
        bounds = snapshot.bounds(range_rows=options.get("range_rows", 1_000))
        return snapshot, bounds, [snapshot.read(each) for each in bounds]


def test_every_type_comes_back_as_it_is(database, table):
    insert(table, FULL, EMPTY, NULLS)
    snapshot, _, [rows] = read(database)
    assert snapshot.rows == 3
    assert rows.schema.equals(COLUMNS)
    expected = [dict(zip(COLUMNS.names, row, strict=True)) for row in (FULL, EMPTY, NULLS)]
    assert sorted(rows.to_pylist(), key=lambda row: row["id"]) == expected


def test_ranges_miss_nothing_and_overlap_nowhere(database, table):
    codes = ["", "A", "a", "ä", "Z", "b'c"]
    insert(table, *((n, codes[n % 6], *([None] * 7)) for n in range(100)))
    _, bounds, ranges = read(database, range_rows=7)
    assert len(bounds) == 15
    found = [(row["code"].encode(), row["id"]) for rows in ranges for row in rows.to_pylist()]
    assert len(found) == len(set(found)) == 100
    keys = [[(r["code"].encode(), r["id"]) for r in rows.to_pylist()] for rows in ranges]
    ends = [(min(k), max(k)) for k in keys if k]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


@pytest.mark.usefixtures("table")
def test_an_empty_table_is_one_empty_range(database):
    snapshot, bounds, [rows] = read(database)
    assert (snapshot.rows, bounds, rows.num_rows) == (0, [(None, None)], 0)


def test_the_snapshot_stands_still_and_the_mark_grows(database, table):
    insert(table, FULL)
    with postgres.opened(database, "things", columns=COLUMNS, key=["code", "id"]) as snapshot:
        insert(table, NULLS)
        assert snapshot.read((None, None)).num_rows == 1
    later, _, _ = read(database)
    assert later.rows == 2
    assert later.mark > snapshot.mark


def test_a_table_that_is_not_there_is_told(database):
    with (
        pytest.raises(ConfigError, match="table nowhere cannot be read"),
        postgres.opened(database, "nowhere", columns=COLUMNS, key=["id"]),
    ):
        pass


def test_a_database_that_is_down_is_told():
    with (
        pytest.raises(NotReady, match="cannot be read"),
        postgres.opened("postgresql://127.0.0.1:1/x", "t", columns=COLUMNS, key=["id"]),
    ):
        pass
