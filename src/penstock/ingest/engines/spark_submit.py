"""Tables landed by ``spark-submit``, on any cluster, once or again and again.

    control plane ─tables, clusters─▶ Attempt, by Spark's own session ─▶ what waits now ─▶ end
                                                  └─ --every 15m: wait, and again

    spark-submit --packages … --archives … spark_submit.py --table orders --once

Guarantee: the ingest process's, which may run the same table before, after or by mistake at the same
time. Ends with exit code 0 when nothing waits any more; otherwise with what to do.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from penstock import units
from penstock.ending import told_to_end
from penstock.errors import ConfigError, Conflict, NotFound, PenstockError
from penstock.ingest.attempts import Attempt
from penstock.ingest.declared import Declared
from penstock.ingest.engines.spark_session import SparkSettings
from penstock.ingest.progress import Progress, State
from penstock.ingest.settings import Settings
from penstock.model import tables
from penstock.model.metadata import Snapshot
from penstock.sdk.client import connect
from penstock.sdk.control import find_control

__all__ = ["land_waiting", "main"]

_log = logging.getLogger(__name__)

_EPILOG = """\
Example: spark-submit --master 'local[2]' … spark_submit.py --table orders --once

Exit codes: 0 nothing waits any more, 2 the command line is wrong, 3 the declaration cannot work or
there is no such table, 4 a part does not answer now, 5 refused, 6 another process was first, 7 too
many records cannot be read, 8 a part answered what it should not. Safe to repeat: the next run goes
on from what the table's log says.
"""
_BEATEN = 5
"""Conflicts in a row after which a run leaves the table to the process that is faster."""
_SUBMITTED = SparkSettings(master="")
"""Master, jars and Java are what `spark-submit` was told."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Land tables as the command line says; return the exit code."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stopping = told_to_end()
    settings = Settings(
        home=asked.home,
        tables=frozenset(asked.table),
        control=asked.control,
        spark=lambda: replace(_SUBMITTED, master=asked.master),
    )
    try:
        _demand_way(asked.master)
        _land(settings, stopping, every_ms=asked.every)
    except PenstockError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - a command's last word
        return error.exit_code
    return 0


def land_waiting(
    table: tables.Table,
    settings: Settings,
    *,
    snapshot: Callable[[], Snapshot],
    stopping: threading.Event,
) -> Progress:
    """Land what waits on the table's topic by Spark; return how far the table is.

    Args:
        table: the declaration; whatever engine it names.
        settings: where the lake and Spark are.
        snapshot: gives the newest metadata.
        stopping: ends it after the batch it is in.

    Raises:
        Conflict: when another process has committed first, again and again.
        PenstockError: whatever else fails; that is not tried again here.
    """
    # Nothing more is to come, so there is nothing to wait for.
    now = replace(table, engine=tables.Engine.SPARK, latency_ms=0)
    progress = Progress()
    beaten = 0
    while not stopping.is_set():
        attempt = Attempt(
            now,
            lake=settings.lake,
            limits=settings.limits,
            snapshot=snapshot,
            spark=settings.spark,
            stopping=stopping,
        )
        try:
            # One that ends by itself has finished a batch, or carried out a person's request.
            for step in attempt.run(progress):
                progress = step
                if progress.state is State.PAUSED or _done(progress):
                    return progress
        except Conflict as error:
            beaten += 1
            if beaten == _BEATEN:
                raise
            _log.info("%s", error.message)
        else:
            beaten = 0
    return progress


def _done(progress: Progress) -> bool:
    return progress.state is State.RUNNING and progress.lag_records == 0


def _land(settings: Settings, stopping: threading.Event, *, every_ms: int | None) -> None:
    place = find_control(settings.control or None, home=settings.home)
    declared = Declared(settings, find=place.find)
    with connect("penstock-ingest", control=settings.control or None, home=settings.home) as client:
        while not stopping.is_set():
            begun_at = time.monotonic()
            found = declared.refresh()
            _demand(settings.tables, list(found.values()))
            client.metadata.need(sorted({table.topic for table in found.values()}))
            for table in found.values():
                progress = land_waiting(
                    table, settings, snapshot=client.metadata.snapshot, stopping=stopping
                )
                _log.info("table %s: %d rows", table.ident, progress.rows)
            if every_ms is None:
                return
            stopping.wait(max(0.0, begun_at + every_ms / 1000 - time.monotonic()))


def _demand_way(master: str) -> None:
    if master and not SparkSettings(master=master).remote:
        raise ConfigError(
            f"--master {master!r} belongs before the program: spark-submit --master {master} …, which "
            "brings Java and jars. After it stands only a Spark Connect server, sc://host:port."
        )


def _demand(names: frozenset[str], found: Sequence[tables.Table]) -> None:
    known = {name for table in found for name in (table.name, table.ident)}
    if unknown := sorted(names - known):
        raise NotFound(
            f"no table is called {', '.join(unknown)}. See which there are: penstock table list."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spark-submit … spark_submit.py",
        description="Land Penstock tables by Spark.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", action="append", required=True, help="by name; may be repeated")
    parser.add_argument("--control", default="", help="host:port of the control plane's gRPC")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("PENSTOCK_HOME") or ".penstock"),
        help="directory of this Penstock's state; PENSTOCK_HOME, else .penstock",
    )
    parser.add_argument("--master", default="", help="sc://host:port, without spark-submit")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--once", dest="every", action="store_const", const=None, help="what waits, then end"
    )
    when.add_argument("--every", type=units.parse_ms, metavar="15m", help="again and again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
