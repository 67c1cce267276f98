"""A process that lands one table by Spark until it is killed.

python spark_process.py '{"home": …, "lake": …, "bootstraps": {…}, "table": {…}}'
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path

from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.model import tables
from penstock.runtime import spark


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    told = json.loads(sys.argv[1])
    snapshot = make_snapshot(told["bootstraps"], told["topic"])
    settings = spark.settings(
        Path(told["home"]), options=told["options"], java_options=["-XX:TieredStopAtLevel=1"]
    )
    worker = Worker(
        make_table(told["topic"], engine=tables.Engine.SPARK),
        lake=told["lake"],
        limits=Limits(),
        snapshot=lambda: snapshot,
        spark=lambda: settings,
    )
    worker.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
