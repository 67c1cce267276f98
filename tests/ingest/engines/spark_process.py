"""A process that lands tables by Spark until it is killed.

python spark_process.py '{"home": …, "lake": …, "bootstraps": {…}, "topics": {"t": "append"}}'

``master`` and ``options`` say where and how Spark runs.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.model import tables
from penstock.runtime import spark

ROOT = Path(__file__).resolve().parents[3]


def start(told: dict[str, Any], *, log: Path) -> subprocess.Popen[bytes]:
    """Start the process."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, __file__, json.dumps(told)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )


def table(topic: str, mode: str, *, engine: tables.Engine = tables.Engine.SPARK) -> tables.Table:
    """Return the declaration of a topic's table: ``landed``, or ``merged`` where rows change."""
    if mode == tables.TableMode.APPEND:
        return make_table(topic, engine=engine)
    return make_table(
        topic,
        name="merged",
        path="merged",
        engine=engine,
        mode=tables.TableMode(mode),
        partition_by=(),
        merge=tables.Merge(primary_key=("id",)),
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    told = json.loads(sys.argv[1])
    settings = spark.settings(
        Path(told["home"]),
        master=told.get("master", "local[*]"),
        options=told["options"],
        java_options=["-XX:TieredStopAtLevel=1"],
    )
    for topic, mode in told["topics"].items():
        snapshot = make_snapshot(told["bootstraps"], topic)
        Worker(
            table(topic, mode),
            lake=told["lake"],
            limits=Limits(backoff_s=1),
            snapshot=lambda snapshot=snapshot: snapshot,  # type: ignore[misc]
            spark=lambda: settings,
        ).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
