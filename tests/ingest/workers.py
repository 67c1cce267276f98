"""Workers in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ingest.sources import Source
from tests.ingest.worker_process import make_snapshot, make_table

from penstock.ingest.settings import Limits
from penstock.ingest.worker import Worker
from penstock.model import tables


@contextmanager
def working(
    source: Source,
    lake: Path | str,
    *,
    limits: Limits | None = None,
    table: tables.Table | None = None,
) -> Iterator[Worker]:
    snapshot = make_snapshot(source.bootstraps, source.topic)
    worker = Worker(
        table or make_table(source.topic),
        lake=lake,
        limits=limits or Limits(backoff_s=0.2),
        snapshot=lambda: snapshot,
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        assert worker.join(60)
