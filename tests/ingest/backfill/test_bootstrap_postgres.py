"""A copy out of a real PostgreSQL, and the changes since, come to its table under load."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.ingest.backfill.worlds import event, held, rows_in, shop
from tests.ingest.sources import Source
from tests.ingest.workers import working

from penstock.errors import ConfigError, NotReady
from penstock.ingest import bootstrap_postgres, letters
from penstock.ingest.backfill.files import Files
from penstock.ingest.backfill.loading import Load
from penstock.ingest.bootstrap_postgres import Copied, Origin
from penstock.ingest.locations import locate
from penstock.model import tables
from penstock.runtime import postgres as server_of
from penstock.runtime import processes
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real
ROWS = 3_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("postgres")
    server = server_of.prepare(home, durable=False)
    service = server_of.service(home, server)
    process = processes.spawn(service.spec())
    for _ in range(600):
        if service.ready():
            break
        threading.Event().wait(0.05)
    yield server.address()
    processes.terminate([process], within_s=10)
    server_of.remove(home)


@pytest.fixture
def connection(address: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(address) as connection:
        connection.execute("DROP TABLE IF EXISTS shop")
        connection.execute("CREATE TABLE shop (id bigint PRIMARY KEY, v bigint, note text)")
        connection.execute(
            "INSERT INTO shop SELECT n, 0, 'n0' FROM generate_series(1, %s) n", (ROWS,)
        )
        connection.commit()
        yield connection


class Writer:
    """Changes the table, and tells each change as the connector would: at its place in the log."""

    def __init__(self, address: str, source: Source) -> None:
        self._source = source
        self._address = address
        self._enough = threading.Event()
        self.changes = 0
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def _write(self) -> None:
        chance = random.Random(3)
        with psycopg.connect(self._address) as connection:
            while not self._enough.wait(0.01):
                events: list[bytes | None] = []
                # A key is always in one partition: three of them, by the key.
                for index, drawn in enumerate(chance.sample(range(3, ROWS), 30)):
                    key = drawn - drawn % 3 + index % 3
                    events.append(self._change(connection, key, delete=chance.random() < 0.2))
                connection.commit()
                self._source.send(events, cluster="primary")
                self.changes += len(events)

    def _change(self, connection: psycopg.Connection[Any], key: int, *, delete: bool) -> bytes:
        row = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        assert row
        sequence: int = row[0]
        if delete:
            connection.execute("DELETE FROM shop WHERE id = %s", (key,))
            return event("D", key, None, sequence=sequence)
        connection.execute(
            "INSERT INTO shop VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
            "SET v = excluded.v, note = excluded.note",
            (key, sequence, f"n{sequence}"),
        )
        return event("U", key, sequence, sequence=sequence)


def load(table: tables.Table, lake: Path, copy: Copied) -> Load:
    place = locate(table.path, lake=lake)
    planned, files = bootstrap_postgres.planned(place, copy, piece_rows=500)
    return Load(
        table,
        planned,
        files,
        place=place,
        letters_place=letters.location(table, place, lake=lake),
        clock=lambda: datetime.now(UTC),
        stopping=threading.Event(),
    )


def copied(
    address: str,
    lake: Path,
    table: tables.Table | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    **options: Any,
) -> Copied:
    origin = Origin(url=address, table="public.shop", range_rows=500, **options)
    return bootstrap_postgres.copied(
        table or shop("t"),
        locate("shop", lake=lake),
        origin,
        stopping=threading.Event(),
        progress=progress,
    )


def source_rows(connection: psycopg.Connection[Any]) -> dict[int, int]:
    return dict(connection.execute("SELECT id, v FROM shop").fetchall())


def test_a_copy_under_load_and_the_changes_come_to_the_source(
    address: str,
    connection: psycopg.Connection[Any],
    source: Source,
    *,
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    table = shop(source.topic)
    writer = Writer(address, source)
    try:
        with working(source, tmp_path, table=table):
            wait_until(lambda: writer.changes > 300, message="changes")
            copy = copied(address, tmp_path, table)
            assert load(table, tmp_path, copy).run().state == "done"
            before = writer.changes
            wait_until(lambda: writer.changes > before + 300, message="more changes")
            writer.stop()
            connection.rollback()
            expected = source_rows(connection)
            wait_until(
                lambda: held(table, tmp_path) == expected,
                message="the source's rows",
            )
    finally:
        writer.stop()


def test_a_copy_is_cut_by_key_and_made_once(
    address: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    copy = copied(address, tmp_path, parallel=3, progress=lambda done, of: told.append((done, of)))
    assert copy.rows == ROWS
    assert sorted(told) == [(n, len(told)) for n in range(1, len(told) + 1)]
    files = Files(locate("shop", lake=tmp_path).child(copy.directory))
    read = [files.read(part) for part in files.parts(part_rows=500)]
    assert {piece.num_rows for piece in read} == {500, 0}, (
        "the last range begins after the last key"
    )
    assert sorted(n for piece in read for n in piece["id"].to_pylist()) == list(range(1, ROWS + 1))
    connection.execute("DELETE FROM shop")
    connection.commit()
    assert copied(address, tmp_path) == copy, "asked again it is the same copy"


def test_a_transaction_that_has_written_is_waited_for(
    address: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Its changes stand before the copy in the log, and are not in it: they would be lost."""
    connection.execute("UPDATE shop SET v = 7 WHERE id = 1")
    with pytest.raises(NotReady, match="transaction"):
        copied(address, tmp_path, wait_s=0.3)
    connection.commit()
    copy = copied(address, tmp_path)
    place = locate("shop", lake=tmp_path)
    assert not bootstrap_postgres.is_done(shop("t"), place)
    assert load(shop("t"), tmp_path, copy).run().rows == ROWS
    assert bootstrap_postgres.is_done(shop("t"), place)
    assert {r["v"] for r in rows_in(tmp_path / "shop") if r["id"] == 1} == {7}


def test_what_cannot_be_copied_is_told(address: str, tmp_path: Path) -> None:
    origin = Origin(url=address, table="public.nothing")
    with pytest.raises(ConfigError, match="cannot be copied"):
        bootstrap_postgres.copied(
            shop("t"), locate("a", lake=tmp_path), origin, stopping=threading.Event()
        )
    away = Origin(url="postgresql://nobody@127.0.0.1:1/none", table="a")
    with pytest.raises(NotReady, match="cannot be read"):
        bootstrap_postgres.copied(
            shop("t"), locate("b", lake=tmp_path), away, stopping=threading.Event()
        )
