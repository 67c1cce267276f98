"""10,000 changes a second into a merged table of 10 M rows, at ``latency: 1m``: does it keep up?

    feed: change events at a steady pace ─▶ Kafka ─▶ ingest: the table's worker ─▶ Delta
      └─ what each key's last change says ───────────── compared with ─────────────┘

Feed and ingest are a process each. Half of the changes update keys from everywhere, the others
update keys side by side, insert and delete. Debezium and PostgreSQL are left out: on two cores they
could not bring so many beside what is measured, so events in their form (`docs/reference/
change-events.md`) are written straight to the topic. How a table is merged the planner decides.

The lag is the age of the oldest record that is not in the table, once a second while changes come:
a saw-tooth, which is known from each batch's oldest record and the time of its commit.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from confluent_kafka import Producer
from pyarrow import compute, parquet

from bench import merging, workers
from bench.rows import Row
from penstock.ingest import fresh
from penstock.ingest.locations import locate
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.progress import Batch, State
from penstock.ingest.targets.change_log import ChangeLogTarget
from penstock.ingest.targets.merge import MergeTarget
from penstock.model import tables
from penstock.runtime import embedded

SIZE = 10_000_000
RATE = 10_000
SECONDS = 180
LATENCY_S = 60
PARTITIONS = 6
_TICKS = 20
"""A second, at each of which the same number of changes is sent."""
_SHARES = {"near": 0.2, "insert": 0.15, "delete": 0.15}
"""Of all changes; the others update keys from everywhere."""
_FED = ("id", "total", "deleted")
FEED = "events fed to the broker: Debezium and PostgreSQL could not, on two cores beside ingest"

TABLE = replace(
    merging.TABLE,
    columns=(
        tables.Column(name="id", type="long", nullable=False),
        tables.Column(name="name", type="string"),
        tables.Column(name="city", type="string"),
        tables.Column(name="total", type="double"),
        tables.Column(name="at", type="timestamp"),
    ),
    latency_ms=LATENCY_S * 1_000,
)


def run() -> list[Row]:
    """Measure once."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        home = Path(directory)
        cluster = embedded.start(home, "bench", brokers=1)
        try:
            fed, ingested = _measured(cluster.bootstrap, home)
        finally:
            cluster.kill()
        logged = ChangeLogTarget.is_at(locate(TABLE.path, lake=home))
        strategy = tables.Strategy.CHANGE_LOG if logged else tables.Strategy.COPY_ON_WRITE
        wrong = faults(home, fed["rows"])
    return _rows(fed, ingested, strategy=strategy.value, wrong=wrong)


def _measured(bootstrap: str, home: Path) -> tuple[Any, Any]:
    workers.make_topic(bootstrap, TABLE.topic, partitions=PARTITIONS)
    arguments = (bootstrap, home)
    workers.measured("bench.sustained", "preload", *arguments)
    process = workers.start("bench.sustained", "ingest", *arguments)
    assert process.stdout is not None
    if not process.stdout.readline():  # of `ingest`: it has opened the table
        raise SystemExit("ingest did not start")
    try:
        fed = workers.measured("bench.sustained", "feed", *arguments)
        return fed, workers.ended(process)
    finally:
        process.kill()


def preload(_: str, home: Path) -> dict[str, Any]:
    """Make the table."""
    target = MergeTarget(TABLE, locate(TABLE.path, lake=home), Pipeline(TABLE).schema)
    target.lake.add(merging.rows_of(SIZE, target.lake.schema))
    return {}


def feed(bootstrap: str, home: Path) -> dict[str, Any]:
    """Send changes at a steady pace, and keep what each key's last one says."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "acks": "1"})
    changes = _Changes()
    count = RATE // _TICKS
    begun_at, begun = time.time(), time.monotonic()
    for tick in range(SECONDS * _TICKS):
        time.sleep(max(0.0, begun + tick / _TICKS - time.monotonic()))
        now_ms = time.time_ns() // 1_000_000
        for key, value in changes.some(count, now_ms=now_ms):
            partition = key % PARTITIONS
            producer.produce(TABLE.topic, value, key=b'{"id":%d}' % key, partition=partition)
        producer.poll(0)
    producer.flush()
    ended_at = time.time()
    parquet.write_table(changes.last(), home / "fed.parquet")
    return {
        "begun_at": begun_at,
        "ended_at": ended_at,
        "rate": SECONDS * RATE / (ended_at - begun_at),
        "rows": SIZE + changes.inserted - len(changes.gone),
    }


class _Changes:
    """Makes change events, the same ones every time.

    Attributes:
        inserted: rows.
        gone: keys that were deleted; none comes again.
    """

    def __init__(self) -> None:
        """Begin with the rows of `preload`."""
        self.inserted = 0
        self.gone: set[int] = set()
        self._random = random.Random(0)
        self._keys, self._totals, self._deleted = array("q"), array("d"), array("b")

    def some(self, count: int, *, now_ms: int) -> Iterator[tuple[int, bytes]]:
        """Yield keys and events."""
        near, new, dead = (round(count * share) for share in _SHARES.values())
        first = self._random.randrange(SIZE - near)
        keys = [key for key in range(first, first + near) if key not in self.gone]
        keys += [self._living() for _ in range(count - len(keys) - new - dead)]
        for key in keys:
            yield key, self._event("U", key, now_ms)
        for _ in range(new):
            key = SIZE + self.inserted
            self.inserted += 1
            yield key, self._event("I", key, now_ms)
        for _ in range(dead):
            key = self._living()
            self.gone.add(key)
            yield key, self._event("D", key, now_ms)

    def last(self) -> pa.Table:
        """Return by key what its last change says."""
        arrays = [pa.array(self._keys), pa.array(self._totals), pa.array(self._deleted)]
        fed = pa.table([*arrays, pa.arange(0, len(self._keys))], names=[*_FED, "n"])
        newest = fed.group_by("id", use_threads=False).aggregate([("n", "max")])
        return fed.select(_FED).take(newest["n_max"])

    def _living(self) -> int:
        while (key := self._random.randrange(SIZE)) in self.gone:
            pass
        return key

    def _event(self, operation: str, key: int, now_ms: int) -> bytes:
        number = len(self._keys)
        self._keys.append(key)
        self._totals.append(float(number))
        self._deleted.append(operation == "D")
        event: dict[str, Any] = {"oc": operation, "ns": "public.orders", "ot": now_ms, "sq": number}
        event["pk"] = {"id": key}
        if operation != "D":
            event["va"] = {
                "name": f"customer-{number}-{key}",
                "city": f"city{number % 1_000}",
                "total": float(number),
                "at": "2026-02-28T12:34:56.123456Z",
            }
        return orjson.dumps(event)


def ingest(bootstrap: str, home: Path) -> dict[str, Any]:
    """Land every change; say so when the worker has opened the table."""
    with workers.running(TABLE, bootstrap=bootstrap, lake=home, partitions=PARTITIONS) as worker:
        workers.wait(worker, lambda progress: progress.state is State.RUNNING)
        print("ready", flush=True)
        opened_mb, used_s, begun = workers.peak_mb(), workers.cpu_s(), time.monotonic()
        workers.wait(worker, lambda progress: _landed(progress.batches) >= RATE * SECONDS)
        used_s, took_s = workers.cpu_s() - used_s, time.monotonic() - begun
        return {
            "cores": used_s / took_s,
            "opened_mb": opened_mb,
            "peak_mb": workers.peak_mb(),
            "batches": [
                {
                    "committed_at": batch.committed_at.timestamp(),
                    "oldest_at": batch.committed_at.timestamp() - batch.reached_ms / 1_000,
                    "records": batch.records,
                    "took_s": batch.duration_ms / 1_000,
                }
                for batch in worker.progress.batches
            ],
        }


def _landed(batches: Sequence[Batch]) -> int:
    return sum(batch.records for batch in batches)


def lags_s(batches: Sequence[Mapping[str, float]], *, begun_at: float) -> list[float]:
    """Return how old the oldest record was that was not in the table, at each second of the feed."""
    found = []
    for second in range(1, SECONDS + 1):
        at = begun_at + second
        coming = next(batch for batch in batches if batch["committed_at"] > at)
        found.append(max(0.0, at - coming["oldest_at"]))
    return found


def faults(home: Path, rows: int) -> str:
    """Compare the table with what was fed; return in what they differ, empty for nothing."""
    told = parquet.read_table(home / "fed.parquet")
    place = locate(TABLE.path, lake=home)
    count, touched = 0, []
    for piece in fresh.read_fresh(TABLE, place):
        count += piece.num_rows
        found = piece.select(["id", "total"])
        touched.append(found.filter(compute.is_in(found["id"], value_set=told["id"])))
    if count != rows:
        return f"{count:,} rows instead of {rows:,}"
    living = told.filter(compute.invert(told["deleted"].cast(pa.bool_())))
    both = living.join(pa.concat_tables(touched), "id", join_type="inner", right_suffix=" found")
    right = compute.sum(compute.equal(both["total"], both["total found"])).as_py()
    return "" if right == living.num_rows else f"{living.num_rows - right:,} changed rows are wrong"


def _rows(fed: Any, ingested: Any, *, strategy: str, wrong: str) -> list[Row]:
    batches = ingested["batches"]
    lags = lags_s(batches, begun_at=fed["begun_at"])
    first, second = lags[: SECONDS // 2], lags[SECONDS // 2 :]
    after_s = max(0.0, batches[-1]["committed_at"] - fed["ended_at"])
    commits = ", ".join(f"{batch['took_s']:.1f}" for batch in batches)
    note = f"{SECONDS} s, {len(batches)} batches by {strategy}, commits took {commits} s; {FEED}"
    return [
        _row("rate of changes", fed["rate"], "changes/s")
        | {"goal": f"{RATE:,} for 120 s at least", "met": fed["rate"] >= 0.99 * RATE, "note": note},
        _row("lag, first half, highest", max(first), "s")
        | {"note": f"median {statistics.median(first):.1f} s"},
        _row("lag, second half, highest", max(second), "s")
        | {
            "goal": "not above the first half's",
            "met": max(second) <= max(first),
            "note": f"median {statistics.median(second):.1f} s",
        },
        _row("all in the table after the last change", after_s, "s")
        | {
            "goal": f"≤ {LATENCY_S} s, and the table as it should be",
            "met": after_s <= LATENCY_S and not wrong,
            "note": wrong or f"{fed['rows']:,} rows, every changed one compared",
        },
        _row("CPU of ingest", ingested["cores"], "cores"),
        _row("peak memory of ingest", ingested["peak_mb"], "MB")
        | {"note": f"{ingested['opened_mb']:.0f} MB with the table just opened"},
    ]


def _row(case: str, ours: float, unit: str) -> Row:
    return {
        "bench": "sustained",
        "case": case,
        "ours": round(ours, 2),
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
        "goal": "none",
        "met": None,
    }


PARTS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    "preload": preload,
    "feed": feed,
    "ingest": ingest,
}

if __name__ == "__main__":
    _, part, address, place = sys.argv
    print(json.dumps(PARTS[part](address, Path(place))))
