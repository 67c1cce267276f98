"""What `penstock up` starts while it runs: Connect for the first connector, a registry when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.platforms import ROOT, Platform, running

import penstock
from penstock.runtime import connect, files, holds, ports
from penstock.runtime.following import Follower
from penstock.runtime.platform import Platform as Wanted
from penstock.runtime.supervised import State
from penstock.runtime.supervisor import Supervisor
from penstock.testing.plugin import WaitUntil

pytestmark = pytest.mark.real

SHOP = """\
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Topic
name: shop.public.orders
owner: shop
clusters: [primary]
ordering: key
partitions: 1
replication: 1
---
kind: Connector
name: shop
owner: shop
cluster: primary
type: postgres
postgres:
  host: 127.0.0.1
  port: {port}
  database: shop
  user: postgres
  password: ${{file:shop.properties:password}}
  tables: [public.orders]
"""

DOCUMENTS = """\
---
kind: Topic
name: papers.shop.papers
owner: shop
clusters: [primary]
ordering: key
partitions: 1
replication: 1
---
kind: Connector
name: papers
owner: shop
cluster: primary
type: mongodb
mongodb:
  connection: ${file:shop.properties:connection}
  collections: [shop.papers]
"""

PAYMENTS = """\
kind: Cluster
name: primary
environment: development
embedded: true
---
kind: Topic
name: payments
owner: billing
clusters: [primary]
routing: na
partitions: 1
replication: 1
---
kind: Table
name: payments
topic: payments
owner: billing
decoder: {format: protobuf, registry: embedded}
latency: continuous
"""

MESSAGE = 'syntax = "proto3"; message Payment { string id = 1; int64 cents = 2; }'


def apply(platform: Platform, estate: Path, content: str) -> None:
    estate.write_text(content)
    platform.run("plan", str(estate), expect=2)
    platform.run("apply", str(estate), "--yes")


def told(platform: Platform, name: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.json("connector", "status", expect=1)
    status: dict[str, Any] = found.get(f"development/{name}", {"error": ""})
    return status


def test_a_connector_applied_later_has_its_workers_started_and_says_what_it_waits_for(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Nothing listens at the database's port: what Debezium says of that, Connect must have run."""
    nobody = ports.allocate(tmp_path, ["nobody"])["nobody"]
    home, estate = tmp_path / "home", tmp_path / "estate.yaml"
    secrets = home / "secrets/shop.properties"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(f"password=none\nconnection=mongodb://127.0.0.1:{nobody}/?replicaSet=rs0\n")
    with running(home, "--clusters", "1") as platform:
        with holds.hold(home, ["connect-primary-1"], for_s=120):
            apply(platform, estate, SHOP.format(port=nobody))
            wait_until(lambda: told(platform, "shop")["error"].startswith("it waits: "))
            wait_until(lambda: "are starting" in told(platform, "shop")["error"])
            assert told(platform, "shop")["condition"] == "absent"
            refused = platform.run("connector", "validate", "shop", expect=4)
            assert "does not answer" in refused.stderr
        wait_until(lambda: f":{nobody}" in told(platform, "shop")["error"], timeout_s=120)
        wait_until(lambda: platform.json("status", expect=0)["state"] == "up")
        assert plugin_names(home) >= {"PostgresConnector"}
        assert "MongoDbConnector" not in plugin_names(home)

        apply(platform, estate, SHOP.format(port=nobody) + DOCUMENTS)
        wait_until(lambda: "MongoDbConnector" in plugin_names(home), timeout_s=120)
        status = platform.json("status")
        assert status["pid"] == platform.started["pid"]
        (worker,) = [p for p in status["processes"] if p["name"] == "connect-primary-1"]
        assert worker["restarts"] == 0, "it was asked to end, and did not crash"
        coming = home / "connect/coming.json"
        # The worker answers before the platform has looked at it again.
        wait_until(lambda: files.read_json(coming, default={"?": ""}) == {})


def plugin_names(home: Path) -> set[str]:
    """Return the connectors that the worker has; none while it does not answer."""
    (address,) = connect.addresses(home)["primary"]
    try:
        answer = httpx.get(f"{address}/connector-plugins", timeout=5).raise_for_status()
    except httpx.HTTPError:
        return set()
    return {one["class"].rpartition(".")[2] for one in answer.json()}


def frame(schema: int, name: str, cents: int) -> bytes:
    """Return a payment as Confluent's serializers write it."""
    text = name.encode()
    return b"\0" + schema.to_bytes(4) + b"\0\x0a" + bytes([len(text)]) + text + bytes([16, cents])


def test_a_registry_is_run_remembered_and_read_by_tables(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    home, estate = tmp_path / "home", tmp_path / "estate.yaml"
    with running(home, "--clusters", "1", "--registry") as platform:
        url = platform.started["registry"]
        subject = {"schema": MESSAGE, "schemaType": "PROTOBUF"}
        answer = httpx.post(f"{url}/subjects/payments-value/versions", json=subject, timeout=30)
        schema = answer.raise_for_status().json()["id"]
        proposed = platform.run(
            *("table", "new", "payments", "--topic", "payments", "--registry", "embedded")
        )
        assert "registry: embedded" in proposed.stdout
        apply(platform, estate, PAYMENTS)
        with penstock.connect("billing", home=home) as client:
            producer = client.producer("payments")
            for number in range(5):
                producer.send(frame(schema, f"p-{number}", number))
        platform.run("table", "check", str(estate))
        rows = platform.json("table", "show", "payments", "--wait", "60")
        wait_until(lambda: len(platform.json("table", "show", "payments")) == 5)
        assert set(rows[0]) == {"id", "cents"}

        platform.run("down")
        again = platform.json("up", "--clusters", "1", "--detach")
        assert again["registry"] == url
        assert httpx.get(f"{url}/subjects", timeout=30).json() == ["payments-value"]
        platform.run("down")
        assert platform.json("up", "--clusters", "1", "--detach", "--no-registry")["registry"] == ""
        refused = platform.run(
            *("table", "new", "x", "--topic", "payments", "--registry", "embedded"), expect=4
        )
        assert "penstock up --registry" in refused.stderr


@pytest.fixture
def following(
    tmp_path: Path,
) -> Iterator[tuple[Supervisor, list[str], Callable[[], None]]]:
    """Give a supervisor, what is told, and a follower's look, for a home with a registry."""
    supervisor, said, closing = Supervisor(tmp_path), [], threading.Event()
    follower = Follower(
        tmp_path, Wanted(clusters=(), registry=True),
        supervisor=supervisor, tell=said.append, closing=closing,
    )  # fmt: skip
    supervisor.start()
    yield supervisor, said, follower.look
    supervisor.close()


def test_a_fetch_ends_when_the_platform_does(mirror, cache, tmp_path: Path) -> None:
    lock = (ROOT / "src/penstock/runtime/locks/apicurio-registry-3.3.3.lock").read_text()
    mirror.files[lock.split()[2]] = b"x" * 10**6
    said: list[str] = []
    closing = threading.Event()
    closing.set()
    supervisor = Supervisor(tmp_path)
    wanted = Wanted(clusters=(), registry=True)
    Follower(tmp_path, wanted, supervisor=supervisor, tell=said.append, closing=closing).look()
    supervisor.close()
    assert "is being stopped" in said[-1]
    assert len(mirror.requests) == 1
    (part,) = cache.rglob("*.part")
    assert 0 < part.stat().st_size < 10**6, "it ended in mid-file, and kept what had arrived"


@pytest.mark.usefixtures("mirror")
def test_what_cannot_be_fetched_is_told_and_tried_again(
    following: tuple[Supervisor, list[str], Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    supervisor, said, look = following
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PENSTOCK_CACHE", str(tmp_path / "empty"))
        look()
    assert said[0] == "the schema registry: being installed"
    assert "It is tried again" in said[-1]
    assert supervisor.states() == {}

    def there() -> bool:
        look()
        return supervisor.states().get("registry") is State.READY

    wait_until(there)
    assert said[-1] == ""
