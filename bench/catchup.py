"""Memory of an ingest process while its table catches up with 10 M records that wait on the broker.

    10 M change events ─▶ a process: append, every event a row ─▶ peak memory, early and in the end; rows/s
                       └▶ a process: merge-cdc, into 5 M rows  ─▶ the same

Whatever waits, a table holds one batch and the client's queue (`penstock.ingest.settings.Limits`):
so the peak when all has landed must be the peak of the first part, and stay below a fixed number.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench import workers
from bench.rows import Row
from penstock.ingest.progress import Progress
from penstock.model import tables
from penstock.runtime import embedded

RECORDS = 10_000_000
FIRST = {"append": 2_000_000, "merge-cdc": 5_000_000}
"""Records after which the peak must stay: a merge's batches are ten times as large."""
KEYS = 5_000_000
PARTITIONS = 6
TOPIC = "changes"
GROWTH_GOAL = 1.1
GOALS_MB = {"append": 1_000, "merge-cdc": 4_000}

_EVENT = (
    b'{"oc":"U","ns":"public.orders","ot":1763740985123,"sq":%d,"pk":{"id":%d},'
    b'"va":{"customer":"customer-%08d-with-a-name-of-some-length","city":"Amsterdam",'
    b'"status":"paid","total":%d.25,"note":"left at the door of number %04d, as agreed before"}}'
)
_ROW = "customer: string, city: string, status: string, total: double, note: string"
_COLUMNS = {
    "append": {
        "oc": "string",
        "ns": "string",
        "ot": "long",
        "sq": "long",
        "pk": "struct<id: long>",
        "va": f"struct<{_ROW}>",
    },
    "merge-cdc": {"id": "long"} | dict(pair.split(": ") for pair in _ROW.split(", ")),
}


def run() -> list[Row]:
    """Measure both modes on one topic."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        home = Path(directory)
        cluster = embedded.start(home, "bench", brokers=1)
        try:
            fill(cluster.bootstrap)
            return [
                row
                for mode in _COLUMNS
                for row in _rows(
                    mode, workers.measured("bench.catchup", mode, cluster.bootstrap, home)
                )
            ]
        finally:
            cluster.kill()


def fill(bootstrap: str) -> None:
    """Write the change events; each key comes twice."""
    workers.make_topic(bootstrap, TOPIC, partitions=PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "acks": "1"})
    for number in range(RECORDS):
        key = number * 2_654_435_761 % KEYS
        event = event_of(number, key)
        while True:
            try:
                producer.produce(TOPIC, event, partition=key % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()


def event_of(number: int, key: int) -> bytes:
    """Return the n-th change event."""
    return _EVENT % (number, key, key % 100_000, number % 10_000, number % 10_000)


def catch_up(mode: str, bootstrap: str, home: Path) -> dict[str, Any]:
    """Land all that waits."""
    table = tables.Table(
        name=mode,
        topic=TOPIC,
        environment="bench",
        owner="bench",
        path=mode,
        mode=tables.TableMode(mode),
        columns=tuple(tables.Column(name=n, type=t) for n, t in _COLUMNS[mode].items()),
        merge=tables.Merge(primary_key=("id",) if mode == "merge-cdc" else ()),
    )
    idle_mb, begun = workers.peak_mb(), time.monotonic()
    with workers.running(table, bootstrap=bootstrap, lake=home, partitions=PARTITIONS) as worker:
        workers.wait(worker, lambda progress: landed(progress) >= FIRST[mode])
        first_mb = workers.peak_mb()
        workers.wait(worker, lambda progress: landed(progress) >= RECORDS)
        progress = worker.progress
    return {
        "idle_mb": idle_mb,
        "first_mb": first_mb,
        "peak_mb": workers.peak_mb(),
        "rate": RECORDS / (time.monotonic() - begun),
        "rows": progress.rows,
        "batch": max(batch.records for batch in progress.batches),
    }


def landed(progress: Progress) -> int:
    """Return how many records are in the table; of a merged one as far as its batches tell."""
    return max(progress.landed, sum(batch.records for batch in progress.batches))


def _rows(mode: str, seen: dict[str, Any]) -> list[Row]:
    goal_mb, first = GOALS_MB[mode], f"{FIRST[mode] // 10**6} M"
    rows = RECORDS if mode == "append" else KEYS
    flat = seen["peak_mb"] <= GROWTH_GOAL * seen["first_mb"]
    of = f"{mode}, {RECORDS // 10**6} M records"
    return [
        _row(f"{of}, peak memory", seen["peak_mb"], "MB")
        | {
            "goal": f"≤ {GROWTH_GOAL:g} times the peak at {first}, ≤ {goal_mb:,} MB",
            "met": flat and seen["peak_mb"] <= goal_mb and seen["rows"] == rows,
            "note": (
                f"{seen['first_mb']:,.0f} MB at {first}, {seen['idle_mb']:,.0f} MB with "
                f"nothing read; batches of up to {seen['batch']:,} records; {seen['rows']:,} rows"
            ),
        },
        _row(f"{of}, rate", seen["rate"], "records/s")
        | {"note": f"{len(event_of(RECORDS - 1, KEYS - 1))} B a record"},
    ]


def _row(case: str, ours: float, unit: str) -> Row:
    return {
        "bench": "catchup",
        "case": case,
        "ours": round(ours),
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
        "goal": "none",
        "met": None,
    }


if __name__ == "__main__":
    _, mode_, address, place = sys.argv
    print(json.dumps(catch_up(mode_, address, Path(place))))
