"""`penstock table new` and `check` against real records of a real topic, and a real PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import typer
from click.testing import Result
from tests.ingest.decoders import protos
from tests.schemas import stub
from typer.testing import CliRunner

from penstock.api._gen import penstock_pb2 as pb
from penstock.cli.table_check import check, known_to
from penstock.cli.table_new import new
from penstock.errors import ConfigError, NotFound, NotReady, PenstockError
from penstock.ingest.onboarding import samples
from penstock.kafka.clients import Failures, open_producer
from penstock.model import clusters
from penstock.runtime import postgres, processes
from penstock.testing.control import running_control_plane
from penstock.testing.plugin import Federation

pytestmark = pytest.mark.real

ESTATE = """\
documents = [
  { kind = Cluster, name = primary, environment = development, embedded = true }
  { kind = Cluster, name = standby, environment = development, embedded = true }
  %s
]
let { clusters = [primary, standby] }
"""
HOCON_TOPIC = """\
  { kind = Topic, name = %s, owner = web, clusters = ${let.clusters}
    partitions = 3, replication = 1 }
"""
TOPIC = """\
---
kind: Topic
name: onboard-later
owner: web
clusters: [primary, standby]
partitions: 3
replication: 1
"""

app = typer.Typer()
app.command("new")(new)
app.command("check")(check)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A platform with topics that hold records."""

    home: Path
    federation: Federation

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--home", str(self.home)])

    def json(self, *arguments: str, expect: int = 0) -> dict:
        result = self.run(*arguments, "--json")
        assert result.exit_code == expect, (result.output, result.exception)
        return json.loads(result.stdout)

    def error(self, *arguments: str) -> PenstockError:
        error = self.run(*arguments).exception
        assert isinstance(error, PenstockError), error
        return error

    def send(self, topic: str, values: list[bytes], *, cluster: str = "primary") -> None:
        producer = open_producer(
            {"bootstrap.servers": self.federation.bootstraps[cluster]}, failures=Failures()
        )
        for number, value in enumerate(values):
            producer.produce(topic, value, key=b"visitor-%d" % (number % 5), partition=number % 3)
        assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def place(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("tables") / "home"
    topics = "".join(HOCON_TOPIC % name for name in ("onboard-views", "onboard-none"))
    with running_control_plane(home, clusters=federation.bootstraps) as control:
        with control.client() as client:
            files = [pb.EstateFile(path="estate.conf", content=ESTATE % topics)]
            plan = client.plan(files)
            assert [*client.apply(files, digest=plan.digest)]
            assert not client.plan(files).changes
        made = Place(home=home, federation=federation)
        views = [
            {"page": f"/{n % 7}", "at": f"2026-11-21T10:00:{n % 60:02}Z", "ms": n, "tags": ["a"]}
            for n in range(300)
        ]
        encoded = [json.dumps(view).encode() for view in views]
        made.send("onboard-views", encoded[:200])
        made.send("onboard-views", encoded[200:], cluster="standby")
        yield made


def propose(place: Place, path: Path, *arguments: str) -> None:
    result = place.run("new", "views", "--topic", "onboard-views", "--out", str(path), *arguments)
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.mark.parametrize(("suffix", "options"), [("yaml", []), ("conf", ["--hocon"])])
def test_what_is_proposed_from_a_topic_fits_every_record(
    place: Place, tmp_path: Path, suffix: str, options: list[str]
) -> None:
    path = tmp_path / f"views.{suffix}"
    propose(place, path, *options)
    text = path.read_text()
    assert "Proposed from the newest 300 records of development/onboard-views." in text
    assert "owner" in text
    assert "web" in text
    [told] = place.json("check", str(path))["tables"]
    assert (told["records"], told["rows"], told["poison"]) == (300, 300, 0)
    assert told["keys"] == {"columns": [], "rows": 300, "missing": 0, "distinct": 5}
    assert {one["what"] for one in told["estimates"]} >= {"records", "storage", "processor"}
    # 300 records within ten minutes.
    assert told["estimates"][0]["how"].startswith("0.5 a second")
    printed = place.run("check", str(path))
    assert "300 of the newest 300 records are rows" in printed.stdout


def test_records_that_do_not_fit_are_told_with_reason_and_origin(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "views.yaml"
    propose(place, path)
    path.write_text(path.read_text().replace("ms: {type: long,", "ms: {type: boolean,"))
    [told] = place.json("check", str(path), expect=7)["tables"]
    assert (told["rows"], told["poison"]) == (0, 300)
    assert told["reasons"][0]["example"].count("/") == 3
    assert told["estimates"] == []


def test_faults_come_before_anything_is_read(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "views.yaml"
    propose(place, path)
    path.write_text(path.read_text().replace("onboard-views", "onboard-view") + "colums: {}\n")
    told = place.json("check", str(path), expect=3)
    whats = [fault["what"] for fault in told["faults"]]
    assert len(whats) == 2
    assert "no Topic is called 'onboard-view'" in " ".join(whats)
    assert isinstance(place.error("check", str(path)), ConfigError)


def test_a_topic_without_records_has_nothing_to_propose_and_nothing_to_fail(
    place: Place, tmp_path: Path
) -> None:
    error = place.error("new", "none", "--topic", "onboard-none")
    assert isinstance(error, NotReady)
    assert "has no record yet" in error.message
    path = tmp_path / "views.yaml"
    propose(place, path)
    path.write_text(path.read_text().replace("onboard-views", "onboard-none"))
    [told] = place.json("check", str(path))["tables"]
    assert told["records"] == 0
    assert "no record to try" in place.run("check", str(path)).stdout


def test_what_cannot_be_reached_is_not_ready(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "views.yaml"
    propose(place, path)
    away = Place(home=tmp_path / "away", federation=place.federation)
    error = away.error("check", str(path))
    assert isinstance(error, NotReady)
    assert error.message.startswith("The files have no faults, but nothing was tried")
    path.write_text(path.read_text() + "partition-by: nothing\n")
    assert isinstance(away.error("check", str(path)), ConfigError)
    assert isinstance(place.error("new", "x", "--topic", "onboard-nothing"), ConfigError)
    assert isinstance(away.error("new", "x", "--topic", "onboard-views"), NotReady)


def test_a_topic_that_is_not_applied_yet_is_not_ready(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "views.yaml"
    propose(place, path)
    text = path.read_text().replace("onboard-views", "onboard-later")
    path.write_text(text + TOPIC)
    assert "Apply it first" in place.error("check", str(path)).message


def test_a_cluster_that_is_away_is_told_and_the_others_are_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_LOOK_UP_WITHIN_S", 1.0)
    snapshot, _ = known_to(place.home)
    assert snapshot is not None
    topic = snapshot.topics["development/onboard-views"]
    nowhere = {clusters.AuthMode.PLAINTEXT: "127.0.0.1:1"}
    away = {n: replace(c, bootstrap=nowhere) for n, c in snapshot.clusters.items()}
    half = {**snapshot.clusters, "standby": away["standby"]}
    taken = samples.take(topic, half, limit=1_000)
    assert (taken.raw.num_rows, list(taken.trouble)) == (200, ["standby"])
    with pytest.raises(NotReady, match="Check that the cluster runs"):
        samples.take(topic, away, limit=1_000)


def test_no_file_is_written_over(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "views.yaml"
    path.write_text("mine")
    arguments = ("new", "views", "--topic", "onboard-views", "--out", str(path))
    assert "is there already" in place.error(*arguments).message
    assert path.read_text() == "mine"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("postgres")
    server = postgres.prepare(home, durable=False)
    service = postgres.service(home, server)
    process = processes.spawn(service.spec())
    for _ in range(600):
        if service.ready():
            break
        threading.Event().wait(0.1)
    yield server.address()
    processes.terminate([process], within_s=10)
    postgres.remove(home)


ORDERS = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN cents AS numeric(12,2) NOT NULL;
CREATE TABLE "Orders" (
    line smallint, id bigint, price cents, weight numeric, at timestamptz NOT NULL,
    local timestamp(3), day date, how mood, moods mood[], tags text[], doc jsonb, ref uuid,
    raw bytea, took interval, place point, "Has Space" int, PRIMARY KEY (id, line) INCLUDE (day)
);
CREATE TABLE keyless (a int);
"""


def test_a_table_of_postgresql_gives_its_types_and_its_key(place: Place, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(ORDERS)
    arguments = ("new", "orders", "--topic", "shop.public.orders", "--postgres", database)
    result = place.run(*arguments, "--source-table", "public.Orders")
    assert result.exit_code == 0, result.exception
    text = result.stdout
    for line in (
        "mode: merge-cdc",
        "primary-key: [id, line]",
        "namespace: public.Orders",
        "  line: {type: short, nullable: false}",
        '  price: "decimal(12,2)"',
        "  weight: string",
        "  local: timestamp",
        "  moods: array<string>",
        "  doc: string",
        "  raw: binary",
        "# left out: place: point has no type",
        "# left out: Has Space: its name cannot be a column's",
        "owner: nobody  # who answers for it",
    ):
        assert line in text, text
    assert isinstance(place.error(*arguments, "--source-table", "nowhere"), NotFound)
    assert "no primary key" in place.error(*arguments, "--source-table", "keyless").message
    assert "belong together" in place.error(*arguments).message


def test_a_database_that_does_not_answer_is_not_ready(place: Place) -> None:
    error = place.error(
        *("new", "orders", "--topic", "t", "--postgres", "postgresql://u@127.0.0.1:1/d"),
        *("--source-table", "t"),
    )
    assert isinstance(error, NotReady)


AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}
JSON_SCHEMA = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


@pytest.mark.parametrize("options", [[], ["--hocon"]])
def test_a_subject_of_a_registry_gives_its_columns(place: Place, options: list[str]) -> None:
    with stub.serve() as registry:
        registry.add(1, json.dumps(AVRO), kind="AVRO", subject="orders-value")
        registry.add(2, json.dumps(JSON_SCHEMA), kind="JSON", subject="views")
        arguments = ("new", "orders", "--topic", "orders", "--registry", registry.url, *options)
        avro = place.run(*arguments)
        plain = place.run(*arguments, "--subject", "views")
        missing = place.error(*arguments, "--subject", "nothing")
    assert avro.exit_code == 0, avro.exception
    between = " = " if options else ": "
    for line in (
        f"mode{between}append",
        f"format{between}avro",
        f"  at{between}timestamp",
        f"  note{between}string",
        f"  day{between}",
    ):
        assert line in avro.stdout, avro.stdout
    assert f"  id{between}{{type{between}long, nullable{between}false}}" in plain.stdout
    assert f"decoder{between}json" in plain.stdout
    assert isinstance(missing, NotFound)


def test_a_descriptor_file_gives_the_messages_columns(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "orders.desc"
    path.write_bytes(protos.compiled(protos.EVERYTHING).SerializeToString())
    arguments = ("new", "orders", "--topic", "orders", "--descriptor", str(path))
    result = place.run(*arguments, "--message", "shop.All")
    assert result.exit_code == 0, result.exception
    assert '  f_uint64: "decimal(20,0)"' in result.stdout
    assert "message: shop.All" in result.stdout
    assert isinstance(place.error(*arguments, "--message", "shop.None"), ConfigError)
