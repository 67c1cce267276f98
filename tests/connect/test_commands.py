"""From an estate's file to a running connector and away again, by the commands and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.connect.stack import CLUSTER, Shop, Stack
from typer.testing import CliRunner

from penstock.api._gen import penstock_pb2 as pb
from penstock.cli.main import app
from penstock.errors import PenstockError
from penstock.testing.control import RunningControlPlane, running_control_plane
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said."""

    code: int
    stdout: str
    stderr: str


Penstock = Callable[..., Answer]

CLUSTERS = f"""\
kind: Cluster
name: {CLUSTER}
environment: development
category: cdc
embedded: true
"""
TOPIC = """\
---
kind: Topic
name: {topic}
owner: shop
description: changes
clusters: [primary]
routing: na
ordering: key
partitions: 1
replication: 1
"""
CONNECTOR = """\
---
kind: Connector
name: {name}
owner: shop
cluster: primary
type: postgres
postgres:
  host: 127.0.0.1
  port: {port}
  database: shop
  user: postgres
  password: ${{file:shop.properties:password}}
  tables: public.{table}
  slot: {table}
  heartbeat: 1s
"""


@pytest.fixture
def control(stack: Stack, tmp_path: Path) -> Iterator[RunningControlPlane]:
    clusters = {CLUSTER: stack.kafka.bootstrap}
    with running_control_plane(tmp_path / "home", clusters=clusters) as running:
        yield running


@pytest.fixture
def environment(control: RunningControlPlane, stack: Stack) -> dict[str, str]:
    return {
        **os.environ,
        "COLUMNS": "200",
        "PENSTOCK_HOME": str(control.home),
        "PENSTOCK_CONNECT": " ".join(f"{CLUSTER}={address}" for address in stack.addresses),
    }


@pytest.fixture
def penstock(environment: dict[str, str], control: RunningControlPlane) -> Penstock:
    def run(*arguments: str) -> Answer:
        result = CliRunner().invoke(app, [*arguments, "--home", str(control.home)], env=environment)
        error = result.exception
        if isinstance(error, PenstockError):  # as `main.run` tells it
            return Answer(code=error.exit_code, stdout=result.stdout, stderr=error.message)
        assert error is None or isinstance(error, SystemExit), result.output
        return Answer(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    return run


@pytest.fixture
def managing(
    environment: dict[str, str], control: RunningControlPlane, stack: Stack
) -> Iterator[subprocess.Popen[bytes]]:
    secrets = str(stack.home / "secrets")
    with (control.home / "connect.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "connect", "--secrets", secrets],
            env=environment,
            stdout=log,
            stderr=log,
        )
    yield process
    process.kill()
    process.wait()


def test_a_connector_from_its_file_to_its_end(
    shop: Shop,
    control: RunningControlPlane,
    penstock: Penstock,
    managing: subprocess.Popen[bytes],
    wait_until: WaitUntil,
) -> None:
    stack = shop.stack
    shop.insert(1, 1)
    connector = CONNECTOR.format(name=shop.name, port=stack.server.port, table=shop.table)
    _apply(control, CLUSTERS + TOPIC.format(topic=shop.topic) + connector)

    def condition() -> str:
        return str(_told(control).get(f"development/{shop.name}", {}).get("condition", ""))

    wait_until(lambda: condition() == "running")
    wait_until(lambda: shop.changes() == [("I", 1)])
    wait_until(lambda: _health(control)[0] == 200)
    running = rf'^penstock_connector_running{{.*"development/{shop.name}"}} 1.0$'
    assert re.search(running, _get(control, "/metrics"), re.MULTILINE)
    wait_until(lambda: _told(control)[f"development/{shop.name}"]["slot"], message="its slot")

    listed = json.loads(penstock("connector", "list", "--json").stdout)
    assert [(row["declared"], row["state"]) for row in listed if row["name"] == shop.name] == [
        ("running", "running")
    ]
    status = penstock("connector", "status")
    assert status.code == 0, status.stderr
    assert shop.name in status.stdout
    secrets = ("--secrets", str(stack.home / "secrets"))
    assert penstock("connector", "validate", shop.name, *secrets).code == 0

    assert penstock("connector", "pause", shop.name).code == 0
    wait_until(lambda: condition() == "paused")
    shop.insert(2, 1)
    refused = penstock("connector", "delete", shop.name, "--yes")
    assert refused.code == 5
    assert "declared" in refused.stderr
    assert penstock("connector", "resume", shop.name).code == 0
    wait_until(lambda: shop.changes() == [("I", 1), ("I", 2)])

    _apply(control, CLUSTERS + TOPIC.format(topic=shop.topic))
    wait_until(lambda: condition() == "retired")
    asked = penstock("connector", "delete", shop.name)
    assert asked.code == 1
    assert shop.table in asked.stderr
    removed = penstock("connector", "delete", shop.name, "--yes", "--drop-slot", "--json", *secrets)
    assert removed.code == 0, removed.stderr
    told = json.loads(removed.stdout)
    assert (told["slot"], told["slot_dropped"]) == (shop.table, True)
    assert told["offsets"]
    with stack.database() as database:
        slots = database.execute("SELECT slot_name FROM pg_replication_slots").fetchall()
    assert (shop.table,) not in slots
    assert penstock("connector", "delete", shop.name, "--yes").code == 3

    managing.send_signal(signal.SIGTERM)
    assert managing.wait(30) == 0


def _apply(control: RunningControlPlane, text: str) -> None:
    files = [pb.EstateFile(path="estate.yaml", content=text)]
    with control.client() as client:
        digest = client.plan(files).digest
        assert not [event for event in client.apply(files, digest=digest) if event.error]


def _told(control: RunningControlPlane) -> dict[str, Any]:
    path = control.home / "connect/status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _health(control: RunningControlPlane) -> tuple[int, str]:
    try:
        return 200, _get(control, "/health")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _get(control: RunningControlPlane, path: str) -> str:
    address = json.loads((control.home / "connect/listen.json").read_text())["http"]
    with urllib.request.urlopen(f"{address}{path}", timeout=10) as answer:
        return str(answer.read().decode())
