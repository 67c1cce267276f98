"""Real parts for the tests of connectors: Connect workers and a PostgreSQL, under a supervisor."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
import psycopg

from penstock.connectors.declared import Declared
from penstock.connectors.process import Managing
from penstock.connectors.rest import Connect
from penstock.connectors.settings import Settings
from penstock.connectors.statuses import Status
from penstock.connectors.tries import Pauses
from penstock.kafka.admin import Admin
from penstock.model.clusters import AuthMode, Cluster
from penstock.model.connectors import Connector, Kind
from penstock.runtime import connect, embedded, files, holds, plugins, postgres, processes
from penstock.runtime.supervised import State
from penstock.runtime.supervisor import Supervisor

ENVIRONMENT = "development"
CLUSTER = "primary"
POSTGRES = "io.debezium.connector.postgresql.PostgresConnector"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What runs, and how to break it."""

    home: Path
    kafka: embedded.Cluster
    group: connect.Group
    server: postgres.Server
    supervisor: Supervisor

    @property
    def addresses(self) -> list[str]:
        return [worker.address for worker in self.group.workers]

    def connect(self) -> Connect:
        return Connect(CLUSTER, self.addresses)

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.address("shop"), autocommit=True)

    def kill(self, name: str) -> None:
        """End a supervised process at once, by SIGKILL."""
        identity = processes.Identity.from_record(processes.recorded(self.home)[name])
        assert identity is not None
        psutil.Process(identity.pid).send_signal(signal.SIGKILL)

    def held(self, name: str) -> AbstractContextManager[None]:
        """Leave a process down, once it ends, for the length of the block."""
        return holds.hold(self.home, [name], for_s=120)

    def state(self, name: str) -> State:
        return self.supervisor.states()[name]


@contextmanager
def running(home: Path, kafka: embedded.Cluster) -> Iterator[Stack]:
    server = postgres.prepare(home, "shop", durable=False)
    group = connect.prepare(
        home,
        CLUSTER,
        bootstrap=kafka.bootstrap,
        brokers=1,
        plugins=plugins.directories([plugins.Plugin.POSTGRES]),
        workers=2,
    )
    password = server.password_file.read_text("utf-8")
    secret = home / "secrets" / "shop.properties"
    files.write_atomically(secret, f"password={password}\n", mode=0o600)
    supervisor = Supervisor(home)
    workers = connect.services(home, group, jars=plugins.worker_jars())
    supervisor.add([postgres.service(home, server), *workers])
    supervisor.start()
    try:
        _wait(lambda: set(supervisor.states().values()) == {State.READY}, supervisor)
        with psycopg.connect(server.address(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        yield Stack(home=home, kafka=kafka, group=group, server=server, supervisor=supervisor)
    finally:
        supervisor.close()
        postgres.remove(home, "shop")


def _wait(condition: Callable[[], bool], supervisor: Supervisor) -> None:
    deadline = time.monotonic() + 120
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, (supervisor.states(), supervisor.failing())
        pause.wait(0.05)


@dataclass
class Shop:
    """A table of its own, the topic of its changes, and the connector between them."""

    stack: Stack
    name: str
    connector: Connector = field(init=False)
    _reader: confluent_kafka.Consumer | None = None
    _events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self.stack.database() as database:
            database.execute(f"CREATE TABLE {self.table} (id int PRIMARY KEY, what text)")
        Admin(CLUSTER, self.stack.kafka.bootstrap).create_topic(
            self.topic, partitions=1, replication=1, config={}
        )
        self.connector = Connector(
            name=self.name,
            environment=ENVIRONMENT,
            owner="shop",
            cluster=CLUSTER,
            kind=Kind.POSTGRES,
            connector_class=POSTGRES,
            config=self._config(),
        )

    @property
    def table(self) -> str:
        return self.name.replace("-", "_")

    @property
    def topic(self) -> str:
        return f"{self.name}.public.{self.table}"

    def _config(self) -> dict[str, str]:
        return {
            "database.hostname": "127.0.0.1",
            "database.port": str(self.stack.server.port),
            "database.user": "postgres",
            "database.password": "${file:shop.properties:password}",
            "database.dbname": "shop",
            "topic.prefix": self.name,
            "table.include.list": f"public.{self.table}",
            "plugin.name": "pgoutput",
            "slot.name": self.table,
            "slot.retry.delay.ms": "500",
            "publication.name": self.table,
            "publication.autocreate.mode": "filtered",
            "tombstones.on.delete": "false",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "transforms": "event",
            "transforms.event.type": "org.penstock.connect.StandardEvent",
        }

    def with_config(self, **changes: str) -> Connector:
        changed = {key.replace("_", "."): value for key, value in changes.items()}
        return replace(self.connector, config={**self.connector.config, **changed})

    def insert(self, first: int, count: int) -> None:
        with self.stack.database() as database:
            for number in range(first, first + count):
                database.execute(f"INSERT INTO {self.table} VALUES (%s, 'new')", (number,))

    def execute(self, statement: str) -> None:
        with self.stack.database() as database:
            database.execute(statement.format(table=self.table))

    def events(self) -> list[dict[str, Any]]:
        """Return every event of the topic until now, in order."""
        if self._reader is None:
            self._reader = confluent_kafka.Consumer(
                {
                    "bootstrap.servers": self.stack.kafka.bootstrap,
                    "group.id": "tests",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 20,
                }
            )
            self._reader.assign([confluent_kafka.TopicPartition(self.topic, 0, 0)])
        while (message := self._reader.poll(0.1)) is not None:
            assert not message.error(), message.error()
            self._events.append(json.loads(message.value()))
        return self._events

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def changes(self) -> list[tuple[str, int]]:
        return [(event["oc"], event["pk"]["id"]) for event in self.events()]


@dataclass
class Rounds:
    """A managing process's rounds, taken by the test itself."""

    stack: Stack
    connectors: Sequence[Connector] = ()
    pauses: Pauses = field(default_factory=lambda: Pauses(first_s=0.5, longest_s=4.0))
    managing: Managing = field(init=False)
    _pace: threading.Event = field(default_factory=threading.Event)
    _next_at_s: float = 0.0

    def __post_init__(self) -> None:
        settings = Settings(home=self.stack.home, pauses=self.pauses, measure_every_s=0.5)
        self.managing = Managing(settings, declared=self.declared)

    def declared(self) -> Declared:
        cluster = Cluster(
            name=CLUSTER,
            environment=ENVIRONMENT,
            bootstrap={AuthMode.PLAINTEXT: self.stack.kafka.bootstrap},
        )
        return Declared(
            connectors={one.ident: one for one in self.connectors}, clusters={CLUSTER: cluster}
        )

    def taken(self) -> bool:
        """Take one round, at most so often that the workers have time for their own."""
        self._pace.wait(max(0.0, self._next_at_s - time.monotonic()))
        self.managing.round()
        self._next_at_s = time.monotonic() + 0.2
        return True

    def status(self, name: str) -> Status:
        """Take one round, and return how the connector is after it."""
        self.taken()
        return next(one for one in self.managing.statuses() if one.name == name)
