"""A copy in Snowflake is equal to its table, whatever happened to either, and to the copying."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from deltalake.schema import Field, PrimitiveType
from snowflake.connector import errors
from tests.ingest.merge.worlds import SCHEMA as MERGED
from tests.ingest.merge.worlds import Event, shop, table_of
from tests.ingest.sinks import worlds
from tests.ingest.sinks.worlds import Lake, copied_rows

from penstock.errors import ConfigError, Conflict, NotReady, Refused, RemoteError
from penstock.ingest.locations import Location
from penstock.ingest.sinks import feed, snowflake, snowflake_client, snowflake_sql, versions
from penstock.ingest.sinks.snowflake_client import account_from, connected
from penstock.ingest.targets import merge
from penstock.runtime import ports

pytestmark = pytest.mark.real

NAME = "SHOP_ORDERS"
ROOT = Path(__file__).resolve().parents[3]
STEPS = ("connected", "staged", "loaded", "deleted", "inserted", "committed")


def copy(lake, client, *, table=None, **told):
    return snowflake.copy(table or worlds.orders(), lake.place, client, **told)


def event(ident, offset, operation="I"):
    return Event(
        key=(ident, "p"), operation=operation, offset=offset, values={"a": ident, "b": "x"}
    )


def staging_tables(client):
    found = client.run("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES")
    return [row[0] for row in found if row[0].startswith(snowflake_sql.STAGING)]


def test_every_type_is_copied_as_it_is(lake, client):
    lake.append(range(20))
    lake.append([900], "empty")
    first = copy(lake, client)
    assert (first.whole, first.version, first.changes, first.inserted) == (True, 2, 21, 21)
    assert copied_rows(client) == lake.rows()


def test_inserts_updates_and_hard_deletes_follow(lake, client):
    lake.append(range(20))
    copy(lake, client)
    lake.append([30, 31])
    lake.upsert([1, 2, 40], "second")
    lake.upsert([2, 41], "third")
    lake.delete([3, 41])
    lake.upsert([3], "back")
    lake.table.update(predicate="id = 5", updates={"id": "55"})
    lake.table.optimize.compact()
    done = copy(lake, client)
    assert not done.whole
    assert copied_rows(client) == lake.rows()
    assert copy(lake, client).changes == 0
    assert staging_tables(client) == []


def test_nothing_new_costs_no_statement_that_changes_rows(lake, client):
    lake.append([1])
    copy(lake, client)
    steps = []
    done = copy(lake, client, told=steps.append)
    assert (done.version, done.changes, steps) == (1, 0, [])


def test_a_table_without_key_gets_each_row_once(tmp_path, client):
    lake = Lake(path=tmp_path / "views").create(feed=False)
    table = worlds.orders(key=())
    lake.append([1, 1, 2])
    copy(lake, client, table=table)
    lake.append([1, 3])
    lake.table.optimize.compact()
    lake.append([1])
    assert copy(lake, client, table=table).inserted == 3
    assert copied_rows(client) == lake.rows()
    lake.delete([3])
    with pytest.raises(Refused, match="no primary key"):
        copy(lake, client, table=table)
    assert copy(lake, client, table=table, full=True).whole
    assert copied_rows(client) == lake.rows()


def test_columns_that_come_later_are_carried(lake, client):
    lake.append([1, 2])
    copy(lake, client)
    lake.table.alter.add_columns([Field("note", PrimitiveType("string"))])
    lake.upsert([2, 3], "later")
    copy(lake, client)
    noted = {"note": None}
    assert [noted.items() <= row.items() for row in copied_rows(client)] == [True] * 3
    assert copied_rows(client) == lake.rows()


def test_a_column_of_another_type_needs_a_full_copy(lake, client):
    lake.append([1, 2])
    copy(lake, client)
    position = client.run(f"SELECT COLUMNS FROM {snowflake_sql.POSITIONS}")[0][0]
    other = json.dumps({**json.loads(position), "SMALL": "VARCHAR"})
    client.run(f"UPDATE {snowflake_sql.POSITIONS} SET COLUMNS = ?", (other,))
    lake.append([3])
    with pytest.raises(Refused, match=r"SMALL is NUMBER.*--full"):
        copy(lake, client)
    assert len(copied_rows(client)) == 2
    assert copy(lake, client, full=True).whole
    assert copied_rows(client) == lake.rows()


def test_a_decimal_with_more_digits_follows_in_place(lake, client):
    lake.append([1, 2])
    copy(lake, client)
    client.run(f'ALTER TABLE "{NAME}" ALTER COLUMN "PRICE" SET DATA TYPE NUMBER(10,2)')
    position = client.run(f"SELECT COLUMNS FROM {snowflake_sql.POSITIONS}")[0][0]
    narrow = json.dumps({**json.loads(position), "PRICE": "NUMBER(10,2)"})
    client.run(f"UPDATE {snowflake_sql.POSITIONS} SET COLUMNS = ?", (narrow,))
    lake.append([3])
    assert not copy(lake, client).whole
    described = {row[0]: row[1] for row in client.run(f'DESCRIBE TABLE "{NAME}"')}
    assert described["PRICE"] == "NUMBER(12,2)"
    assert copied_rows(client) == lake.rows()


def failing_at(step):
    def told(name):
        if name == step:
            raise NotReady(step)

    return told


def test_a_whole_copy_that_failed_is_made_anew_by_whatever_columns_there_are_then(lake, client):
    lake.append([1, 2])
    with pytest.raises(NotReady):
        copy(lake, client, told=failing_at("inserted"))
    lake.table.alter.add_columns([Field("note", PrimitiveType("string"))])
    assert copy(lake, client).whole
    assert copied_rows(client) == lake.rows()
    position = client.run(f"SELECT COLUMNS FROM {snowflake_sql.POSITIONS}")[0][0]
    other = json.dumps({**json.loads(position), "SMALL": "VARCHAR"})
    client.run(f"UPDATE {snowflake_sql.POSITIONS} SET COLUMNS = ?", (other,))
    for _ in range(2):
        with pytest.raises(NotReady):
            copy(lake, client, full=True, told=failing_at("inserted"))
        assert copied_rows(client) == []
    assert copy(lake, client).whole
    assert copied_rows(client) == lake.rows()


def test_changes_that_are_not_kept_any_more_are_told(lake, client):
    lake.append([1])
    copy(lake, client)
    lake.append([2])
    lake.append([3])
    lake.table.optimize.compact()
    lake.table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(Refused, match=r"not kept any more.*--full"):
        copy(lake, client)
    assert [row["id"] for row in copied_rows(client)] == [1]
    copy(lake, client, full=True)
    assert copied_rows(client) == lake.rows()


def test_a_log_that_was_cleaned_is_told(lake, client):
    lake.append([1])
    copy(lake, client)
    for ident in range(2, 6):
        lake.append([ident])
    lake.table.create_checkpoint()
    for version in range(4):
        (lake.path / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(Refused, match=r"not kept any more.*--full"):
        copy(lake, client)


def test_a_table_made_anew_is_not_taken_for_the_old_one(lake, client, tmp_path):
    lake.append([1])
    copy(lake, client)
    other = Lake(path=tmp_path / "other").create()
    other.append([2])
    other.append([3])
    with pytest.raises(Refused, match="made anew"):
        copy(other, client)
    copy(other, client, full=True)
    assert copied_rows(client) == other.rows()


def test_a_table_of_somebody_else_is_not_touched(lake, client):
    client.run(f'CREATE TABLE "{NAME}" ("MINE" VARCHAR)')
    lake.append([1])
    for full in (False, True):
        with pytest.raises(Refused, match="no copy of Penstock's"):
            copy(lake, client, full=full)
    assert client.run(f'SELECT * FROM "{NAME}"') == []
    assert copy(lake, client, name="ANOTHER").inserted == 1


def test_a_keyed_table_without_feed_is_refused(tmp_path, client):
    lake = Lake(path=tmp_path / "plain").create(feed=False)
    with pytest.raises(ConfigError, match="change-feed: true"):
        copy(lake, client)


def test_of_two_copies_at_once_one_changes_nothing(lake, client, open_client):
    lake.append([1])
    copy(lake, client)
    lake.upsert([1], "second")
    overtaken = []

    def overtake(step):
        if step == "loaded" and not overtaken:
            overtaken.append(step)
            lake.upsert([1], "third")
            with open_client() as another:
                copy(lake, another)

    with pytest.raises(Conflict, match="another process"):
        copy(lake, client, told=overtake)
    assert overtaken
    assert copied_rows(client) == lake.rows()


def test_what_is_large_goes_in_many_files_and_transactions(lake, client, monkeypatch):
    monkeypatch.setattr(feed, "_PIECE_BYTES", 1)
    monkeypatch.setitem(versions.missing.__kwdefaults__, "at_most", 2)
    lake.append(range(10))
    lake.append(range(10, 20))
    steps = []
    copy(lake, client, told=steps.append)
    assert steps.count("staged") == 2
    for number in range(5):
        lake.upsert([10, number, 30 + number], f"text {number}")
    steps.clear()
    copy(lake, client, told=steps.append)
    assert steps.count("committed") == 3
    assert steps.count("staged") > 3
    assert copied_rows(client) == lake.rows()


def test_a_table_that_penstock_merges_is_copied_with_what_it_keeps(tmp_path, client):
    table = replace(shop(), change_feed=True)
    place = Location(uri=str(tmp_path / "merged"))
    target = merge.open_merge(table, place, MERGED)
    target.commit(1, table_of([event(1, 1), event(2, 2)]))
    copy_of = snowflake.copy(table, place, client)
    target.commit(2, table_of([event(2, 3, "D"), event(3, 4)]))
    snowflake.copy(table, place, client)
    keys = client.run(f'SELECT ID, _OFFSET FROM "{copy_of.table}" ORDER BY ID')
    assert [(int(key), int(offset)) for key, offset in keys] == [(1, 1), (3, 4)]


def key_file(directory, passphrase):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = directory / "key.p8"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
    )
    return str(path)


def test_a_key_opens_a_session_and_a_wrong_passphrase_is_told(snowflake_server, database, tmp_path):
    told = {
        **snowflake_server.environment,
        "SNOWFLAKE_PRIVATE_KEY_FILE": key_file(tmp_path, b"right"),
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "right",
    }
    with connected(account_from(told), database=database, schema="SHOP") as client:
        assert client.run("SELECT 1") == [(1,)]
    wrong = account_from({**told, "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "hidden"})
    with pytest.raises(ConfigError) as raised, connected(wrong, database=database, schema="SHOP"):
        pass
    assert "hidden" not in raised.value.message


def test_a_server_that_is_not_there_is_waited_for_by_who_asked(snowflake_server, tmp_path):
    free = ports.allocate(tmp_path, ["nobody"])["nobody"]
    account = account_from({**snowflake_server.environment, "SNOWFLAKE_PORT": str(free)})
    with (
        pytest.raises(NotReady, match="cannot be reached"),
        connected(account, database="A", schema="B"),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.DatabaseError("Incorrect username or password", errno=250001), ConfigError),
        (errors.ProgrammingError("JWT token is invalid", errno=390144), ConfigError),
        (errors.ProgrammingError("Object does not exist", errno=2003), ConfigError),
        (errors.ProgrammingError("Insufficient privileges", errno=3001), Refused),
        (errors.ProgrammingError("has locked table", errno=625), NotReady),
        (errors.OperationalError("timed out", errno=251011), NotReady),
        (errors.ProgrammingError("Numeric value is not recognized", errno=100038), RemoteError),
    ],
)
def test_errors_are_told_by_what_can_be_done(error, told):
    assert type(snowflake_client._told(error)) is told


class Copier:
    """Copies in processes of their own, to be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.sinks.copier"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def killed(self, told: dict[str, object], *, stop: str = "", after_s: float = 0) -> bool:
        """Begin a copy and kill it at a step or after a time; tell whether it was the kill."""
        self._tell(json.dumps({**told, "stop": stop}))
        pid = int(self._line("pid"))
        if stop:
            self._line(stop)
        else:
            threading.Event().wait(after_s)
        # Nobody has waited for it yet where it ended by itself: the pid is still its own.
        os.kill(pid, signal.SIGKILL)
        self._tell("wait")
        return self._line("ended") == str(int(signal.SIGKILL))

    def _tell(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _line(self, first: str) -> str:
        """Read on to the line that begins with the word; return the rest of it."""
        for line in iter(self._process.stdout.readline, ""):
            word, _, rest = line.strip().partition(" ")
            if word == first:
                return rest
        pytest.fail("the copier is gone")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def killed_at(snowflake_server, database, lake):
    told = {
        "environment": snowflake_server.environment,
        "database": database,
        "place": str(lake.path),
    }
    copier = Copier()

    def run(stop="", after_s=0.0):
        was_killed = copier.killed(told, stop=stop, after_s=after_s)
        snowflake_server.end_sessions()
        return was_killed

    yield run
    copier.close()


def test_a_copy_killed_at_any_step_is_made_good_by_the_next(lake, killed_at, open_client):
    generator = random.Random(4)
    lake.append(range(40))
    for first in ("loaded", "inserted"):
        assert killed_at(first)
    with open_client() as client:
        copy(lake, client)
        assert copied_rows(client) == lake.rows()
    for stop in STEPS[1:]:
        for _ in range(3):
            lake.change(generator)
        lake.upsert([1, 2], f"before {stop}")
        before = lake.rows()
        assert killed_at(stop)
        with open_client() as client:
            assert (copied_rows(client) == before) == (stop == "committed")
        lake.change(generator)
    with open_client() as client:
        copy(lake, client)
        assert copied_rows(client) == lake.rows()


def test_copies_killed_at_random_moments_come_to_the_same_rows(lake, killed_at, open_client):
    generator = random.Random()
    lake.append(range(40))
    begun = time.monotonic()
    with open_client() as client:
        copy(lake, client)
    usual_s = time.monotonic() - begun
    kills = 0
    for _ in range(6):
        lake.change(generator)
        lake.upsert([generator.randrange(60)], "again")
        kills += killed_at(after_s=generator.uniform(0.1, usual_s))
    assert kills >= 2
    with open_client() as client:
        copy(lake, client)
        assert copied_rows(client) == lake.rows()
