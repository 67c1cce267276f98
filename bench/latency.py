"""(b) From send to read, three brokers, acks=all, beside bare confluent-kafka and the JVM's tool.

    one record on the way at a time: send ─▶ three brokers ─▶ read by a consumer ─▶ next

Each side runs in processes of its own, in turns, and all its rounds are taken together. The JVM's
tool (`org.apache.kafka.tools.EndToEndLatency`) does the same, but waits for the ack before it
reads; it prints p50 and p99 in whole milliseconds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from bench.rows import Row
from bench.sdk_throughput import HEADERS, bare_consumer, bare_producer, connect, create
from penstock.runtime import embedded, java, kafka
from penstock.sdk.profiles import Profile

SIZES = {"100 B": 100, "1 KB": 1_024, "10 KB": 10_240, "100 KB": 102_400}
ROUNDS = 8
RECORDS = 600
WARM_UP = 100
GOAL = 1.15
GOAL_P50_100_KB_MS = 5.0
TOPIC = "latency"
PROFILE = Profile.LATENCY


def run() -> list[Row]:
    """Measure every size."""
    with tempfile.TemporaryDirectory() as home:
        cluster = embedded.start(Path(home), "bench", brokers=3)
        try:
            create(cluster.bootstrap, TOPIC, replication=3)
            worker("bare", 1_024, cluster.bootstrap)  # warms the brokers
            return [row for name in SIZES for row in rows(name, cluster.bootstrap)]
        finally:
            cluster.kill()


def rows(name: str, bootstrap: str) -> list[Row]:
    """Return p50 and p99 of one size, beside both peers."""
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        # Who goes first changes: what one side leaves behind must not always meet the other.
        sides = [("bare", bare), ("ours", ours)]
        for side, latencies in sides if number % 2 else reversed(sides):
            latencies.extend(worker(side, SIZES[name], bootstrap))
    jvm = jvm_tool(SIZES[name], bootstrap)
    result: list[Row] = []
    for label, percent in (("p50", 50), ("p99", 99)):
        mine, theirs = percentile(ours, percent), percentile(bare, percent)
        met = mine / theirs <= GOAL
        goal = f"at most {GOAL} times bare"
        if name == "100 KB" and label == "p50":
            met = met and mine < GOAL_P50_100_KB_MS
            goal += f", under {GOAL_P50_100_KB_MS:g} ms"
        note = f"{len(ours)} records a side in {ROUNDS} interleaved rounds, profile {PROFILE}"
        result.append(
            row(f"{name}, {label}", mine, theirs, "bare confluent-kafka", goal, met, note)
        )
        result.append(
            row(
                f"{name}, {label}", mine, jvm[label], "JVM tool", "none", None, f"{RECORDS} records"
            )
        )
    return result


def row(  # noqa: PLR0917
    case: str,
    ours: float,
    peer: float | None,
    peer_name: str,
    goal: str,
    met: bool | None,
    note: str,
) -> Row:
    """Return one line of the table."""
    return {
        "bench": "latency",
        "case": case,
        "ours": round(ours, 3),
        "peer": None if peer is None else round(peer, 3),
        "peer_name": peer_name,
        "unit": "ms",
        "ratio": round(ours / peer, 3) if peer else None,
        "goal": goal,
        "met": met,
        "note": note,
    }


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def worker(side: str, size: int, bootstrap: str) -> list[float]:
    """Run one round in a process of its own; return latencies in ms."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.latency", side, str(size), bootstrap],
        check=True,
        capture_output=True,
        text=True,
    )
    latencies: list[float] = json.loads(done.stdout.splitlines()[-1])
    return latencies


def bare(size: int, bootstrap: str) -> list[float]:
    """Measure the bare client."""
    producer = bare_producer(bootstrap, PROFILE)
    consumer = bare_consumer(bootstrap, PROFILE)
    consumer.subscribe([TOPIC])
    failed: list[object] = []

    def send(value: bytes) -> None:
        producer.produce(
            TOPIC,
            value,
            headers=HEADERS,
            on_delivery=lambda e, _: failed.append(e) if e else None,
        )
        producer.poll(0)

    def read() -> bytes | None:
        message = consumer.poll(1.0)
        return None if message is None or message.error() else message.value()

    result = ping(size, send, read)
    assert failed == []
    consumer.close()
    producer.flush()
    return result


def ours(size: int, bootstrap: str) -> list[float]:
    """Measure the SDK."""
    with connect(bootstrap, TOPIC, replication=3) as client:
        producer = client.producer(TOPIC, profile=PROFILE)
        consumer = client.consumer(TOPIC, group=f"latency-{time.time_ns()}", profile=PROFILE)
        batches = consumer.batches(1, 1.0)

        def read() -> bytes | None:
            batch = next(batches)
            return batch[0].value if batch else None

        return ping(size, producer.send_nowait, read)


def ping(size: int, send: Callable[[bytes], None], read: Callable[[], bytes | None]) -> list[float]:
    """Send a record, wait until it is read, send the next; return latencies in ms."""
    filler = bytes(size - 16)
    run_id = time.time_ns().to_bytes(8)

    def one(number: int) -> float:
        value = run_id + number.to_bytes(8) + filler
        started = time.perf_counter()
        send(value)
        while True:
            got = read()
            if got is not None and got == value:
                return (time.perf_counter() - started) * 1_000

    latencies = [one(number) for number in range(WARM_UP + RECORDS)]
    return latencies[WARM_UP:]


def jvm_tool(size: int, bootstrap: str) -> dict[str, float]:
    """Run Kafka's own tool; return p50 and p99 in ms."""
    arguments = [bootstrap, TOPIC, str(RECORDS), "all", str(size)]
    command = java.command(
        kafka.install().jars, "org.apache.kafka.tools.EndToEndLatency", arguments=arguments
    )
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=java.environment()
    )
    found = re.search(r"50th = (\d+), 99th = (\d+)", done.stdout)
    if found is None:
        raise SystemExit(f"Kafka's latency tool said nothing of percentiles: {done.stdout}")
    return {"p50": float(found[1]), "p99": float(found[2])}


WORKERS: dict[str, Callable[[int, str], list[float]]] = {"bare": bare, "ours": ours}

if __name__ == "__main__":
    print(json.dumps(WORKERS[sys.argv[1]](int(sys.argv[2]), sys.argv[3])))
