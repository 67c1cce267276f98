"""`penstock table copy`, as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import typer
from google.protobuf import json_format
from tests.ingest.sinks import worlds
from tests.ingest.sinks.worlds import copied_rows
from typer.testing import CliRunner

from penstock.api import table_wire
from penstock.api._gen import penstock_pb2 as pb
from penstock.cli.table_copy import copy
from penstock.errors import ConfigError
from penstock.ingest.settings import Settings

pytestmark = pytest.mark.real

APP = typer.Typer()
APP.command()(copy)
ARGUMENTS = ("shop-orders", "--to", "snowflake", "--schema", "SHOP", "--json")
PROGRAM = "import typer; from penstock.cli.table_copy import copy; typer.run(copy)"


@pytest.fixture
def home(tmp_path, lake):
    table = replace(worlds.orders(), path=str(lake.path))
    state = Settings(home=tmp_path).state
    state.mkdir(parents=True, exist_ok=True)
    answer = pb.ListTablesResponse(tables=[table_wire.encode_table(table)])
    (state / "tables.json").write_text(json_format.MessageToJson(answer))
    return tmp_path


@pytest.fixture
def environment(snowflake_server, database, home):
    return {
        **snowflake_server.environment,
        "SNOWFLAKE_DATABASE": database,
        "PENSTOCK_HOME": str(home),
    }


def invoked(home, environment, *more):
    arguments = [*ARGUMENTS, "--home", str(home), *more]
    return CliRunner().invoke(APP, arguments, env=environment)


def test_a_copy_tells_what_it_did(lake, home, environment, client):
    lake.append([1, 2])
    first = invoked(home, environment, "--table", "orders_of_shop")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert (told["source"], told["table"], told["whole"]) == (
        "dev/shop-orders",
        "ORDERS_OF_SHOP",
        True,
    )
    assert copied_rows(client, "ORDERS_OF_SHOP") == lake.rows()


@pytest.mark.parametrize(
    ("more", "without", "words"),
    [
        (("--every", "1s", "--once"), "", "contradict"),
        (("--every", "soon"), "", "--every soon"),
        (("--every", "10ms"), "", "less than a second"),
        ((), "SNOWFLAKE_USER", "SNOWFLAKE_USER"),
    ],
)
def test_what_is_typed_wrong_is_told_before_anything_is_done(
    home, environment, more, without, words
):
    result = invoked(home, {**environment, **({without: ""} if without else {})}, *more)
    assert isinstance(result.exception, ConfigError)
    assert words in result.exception.message


def test_a_table_is_copied_again_and_again_until_it_is_told_to_end(lake, environment, client):
    lake.append([1])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *ARGUMENTS, "--every", "1s"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(process.stdout.readline())["version"] == 1
    lake.upsert([1, 2], "second")
    while json.loads(process.stdout.readline())["version"] < 2:
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()
    assert copied_rows(client) == lake.rows()
