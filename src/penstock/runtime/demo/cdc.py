"""The story of change capture: a shop's PostgreSQL, always equal in the lake.

    PostgreSQL under load ─log─▶ Debezium in Connect ─SMT─▶ Kafka ─ingest─▶ merged Delta tables
          ▲                            ▲                      ▲      ▲            │
          └── kill -9 ─────────────────┴──────────────────────┴──────┘            ▼
    the load ends ─▶ every row of every table compared with its source ◀──────────┘

Everything is real and lives in a home of its own below the given one, so that nothing else is
touched; a second run goes on with what the first has left. Never says equal of what it did not
compare.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from penstock.control import declare
from penstock.errors import NotReady, PenstockError
from penstock.ingest.locations import locate
from penstock.ingest.settings import Settings
from penstock.ingest.verifying import lake as lake_side
from penstock.ingest.verifying import reaching
from penstock.ingest.verifying.compare import Verdict
from penstock.ingest.verifying.verify import Source, verify
from penstock.kafka.admin import Admin
from penstock.model import tables
from penstock.runtime import artifacts, files, platform, postgres, processes, up
from penstock.runtime.demo import estate, shop
from penstock.runtime.demo.visibility import Watch, percentile

__all__ = ["Result", "Story", "run"]

_READY_WITHIN_S = 240.0
_POLL_S = 0.1
_SERVER = "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is to happen.

    Attributes:
        seconds: how long the load lasts.
        pace: of the load.
        kills: whether each part is killed once.
    """

    seconds: float = 60.0
    pace: shop.Pace = field(default_factory=shop.Pace)
    kills: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        equal: whether every row of every table is its source's, after the load.
        rows: of the source, over all tables.
        changes: rows the load changed.
        verified_while_running: comparisons made under load, all of them equal if ``equal`` is true.
        kills: what was killed, in order.
        lag_seconds_p50: from a commit in the database to its row in the table.
        checksums: of each table's source.
        faults: rows that are not equal, as examples.
    """

    equal: bool
    rows: int
    changes: int
    changes_per_s: float
    verified_while_running: int
    kills: tuple[str, ...]
    lag_seconds_p50: float | None
    lag_seconds_p99: float | None
    checksums: dict[str, str]
    faults: tuple[dict[str, Any], ...]
    home: str


Report = Callable[[str], None]
"""Takes a line for people."""


def run(
    home: Path,
    story: Story,
    *,
    report: Report = lambda _: None,
    progress: artifacts.Progress | None = None,
) -> Result:
    """Tell the story from the beginning to the end.

    Args:
        home: the platform's; the story's own is below it.
        story: what is to happen.
        report: told what happens.
        progress: told of bytes fetched on a first run.

    Raises:
        PenstockError: when a part cannot start, or the tables do not get as far as the source.
    """
    own = (home / "demo" / "cdc").absolute()
    server = postgres.prepare(own, _SERVER)
    directory = estate.write(own, server)
    declared = declare.load([directory]).tables.values()
    report(f"Starting PostgreSQL, Kafka, Connect and ingest in {own} …")
    with up.running(own, platform.of_estate(directory), progress=progress) as session:
        session.add([postgres.service(own, server)])
        stage = _Stage(own, server, declared, report)
        stage.open()
        begun_at = time.monotonic()
        with stage.loaded(story) as load, stage.watched() as watch:
            verified, kills = stage.play(story)
            lasted_s = time.monotonic() - begun_at  # a comparison may end after the story's time
        report(f"The load has ended after {load.changes:,} changes; comparing every row …")
        verdicts = {name: stage.verify(name) for name in shop.TABLES}
    return _result(own, lasted_s, load, watch, verdicts, verified=verified, kills=kills)


class _Stage:
    """The running parts of one story."""

    def __init__(
        self,
        home: Path,
        server: postgres.Server,
        declared: Iterable[tables.Table],
        report: Report,
    ) -> None:
        self._home = home
        self._server = server
        self._report = report
        settings = Settings(home=home)
        self._tables = {table.name: table for table in declared}
        self._places = {
            name: locate(table.path, lake=settings.lake) for name, table in self._tables.items()
        }

    def open(self) -> None:
        """Make the shop, and return once the first rows of each table are in the lake."""
        self._wait(self._is_up, "PostgreSQL, to answer")
        with psycopg.connect(self._server.address(), autocommit=True) as connection:
            there = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (shop.DATABASE,)
            ).fetchone()
            if there is None:
                connection.execute(f"CREATE DATABASE {shop.DATABASE}")
        shop.create(self._connect)
        self._report("The shop is open; Debezium reads its tables …")
        for name in shop.TABLES:
            self._wait(partial(self._has_rows, name), f"table {name}, to have its first rows")
        self._report("The first rows are in the lake; the load begins.")

    @contextmanager
    def loaded(self, story: Story) -> Iterator[shop.Load]:
        """Keep changing the shop for the length of the block."""
        load = shop.Load(self._connect, story.pace)
        load.start()
        try:
            yield load
        finally:
            load.stop()

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Measure how soon changes are in the tables, for the length of the block."""
        watch = Watch(self._places)
        watch.start()
        try:
            yield watch
        finally:
            watch.close()

    def play(self, story: Story) -> tuple[int, tuple[str, ...]]:
        """Kill one part after the other, and compare in between; return how often, and whom."""
        victims = [
            "ingest",
            f"connect-{estate.CLUSTER}-1",
            f"{estate.CLUSTER}-1",
            self._server.name,
        ]
        victims = victims if story.kills else []
        begun_at = time.monotonic()
        verified, killed = 0, []
        for number, name in enumerate(victims, start=1):
            self._pause(begun_at + story.seconds * number / (len(victims) + 1))
            self._kill(name)
            killed.append(name)
        while time.monotonic() < begun_at + story.seconds:
            name = shop.TABLES[verified % len(shop.TABLES)]
            self._report(_told(name, self.verify(name)))
            verified += 1
        return verified, tuple(killed)

    def verify(self, name: str) -> Verdict:
        """Compare a table with its source; a part that is away is waited for."""
        table, place = self._tables[name], self._places[name]
        admin = Admin(estate.CLUSTER, self._bootstrap())
        reach = reaching.Reach(
            url=self._server.address(shop.DATABASE),
            slot=estate.SLOT,
            ends=lambda: reaching.partition_ends(admin, table.topic),
            standing=lambda: reaching.standing(table, place),
        )
        source = Source(
            url=self._server.address(shop.DATABASE), table=f"public.{name}", reach=reach
        )
        deadline = time.monotonic() + _READY_WITHIN_S
        while True:
            try:
                return verify(source, lake_side.Lake(table=table, place=place))
            except NotReady:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    def _kill(self, name: str) -> None:
        record = processes.recorded(self._home).get(name, {})
        identity = processes.Identity.from_record(record)
        if identity is None or processes.find(identity) is None:
            raise NotReady(f"{name} does not run, so it cannot be killed. See penstock status.")
        os.kill(identity.pid, signal.SIGKILL)
        self._report(f"Killed {name} (pid {identity.pid}) by SIGKILL.")

    def _pause(self, until: float) -> None:
        threading.Event().wait(max(0.0, until - time.monotonic()))

    def _bootstrap(self) -> str:
        known = files.read_json(self._home / "clusters.json", default={})
        address: str = known[estate.CLUSTER]["bootstrap"]["plaintext"]
        return address

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.address(shop.DATABASE), connect_timeout=5)

    def _is_up(self) -> bool:
        try:
            psycopg.connect(self._server.address(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _has_rows(self, name: str) -> bool:
        try:
            return bool(reaching.standing(self._tables[name], self._places[name]))
        except PenstockError:
            return False

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise NotReady(
                    f"waited {_READY_WITHIN_S:g} s for {what}, in vain. See penstock status --home "
                    f"{self._home} and the logs in {self._home / 'logs'}."
                )
            time.sleep(_POLL_S)


def _told(name: str, verdict: Verdict) -> str:
    if not verdict.equal:
        return f"{name}: NOT equal, e.g. {verdict.faults[:1]}"
    return (
        f"{name}: equal, {verdict.rows:,} rows; {verdict.moving:,} changed meanwhile; "
        f"checksum {verdict.checksum}"
    )


def _result(
    home: Path,
    lasted_s: float,
    load: shop.Load,
    watch: Watch,
    verdicts: dict[str, Verdict],
    *,
    verified: int,
    kills: tuple[str, ...],
) -> Result:
    return Result(
        equal=all(each.equal for each in verdicts.values()),
        rows=sum(each.rows for each in verdicts.values()),
        changes=load.changes,
        changes_per_s=round(load.changes / lasted_s, 1),
        verified_while_running=verified,
        kills=kills,
        lag_seconds_p50=percentile(watch.lags_s, 50),
        lag_seconds_p99=percentile(watch.lags_s, 99),
        checksums={name: each.checksum for name, each in verdicts.items()},
        faults=tuple(asdict(fault) for each in verdicts.values() for fault in each.faults),
        home=str(home),
    )
