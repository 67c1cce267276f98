"""(a) What the SDK costs beside bare confluent-kafka: the same settings, headers and records.

    one broker ─▶ rounds: bare, ours, bare, ours … each in a process of its own ─▶ medians

CPU is the process's own, librdkafka's threads included, and is the figure with a goal: the rate
also measures the broker and whatever else the machine does. The bare client makes its headers
once, for nothing, and counts its deliveries; it never makes an id or reads the clock.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

import penstock
from bench.rows import Row
from penstock.model import clusters, metadata, topics
from penstock.runtime import embedded
from penstock.sdk import profiles

RECORDS = 300_000
SIZE = 1_024
ROUNDS = 11
PARTITIONS = 6
GOAL = 1.3
TOPIC = "throughput"
PROFILE = profiles.Profile.DURABLE
HEADERS = [
    ("ce_id", "0123456789abcdef01234567-1a1fdf34f64-123456"),
    ("ce_time", "2026-01-01T00:00:00.000Z"),
    ("ce_source", "bench"),
    ("ce_type", TOPIC),
    ("ce_specversion", "1.0"),
]


def run() -> list[Row]:
    """Measure producing and consuming."""
    with tempfile.TemporaryDirectory() as home:
        cluster = embedded.start(Path(home), "bench", brokers=1)
        try:
            create(cluster.bootstrap, TOPIC, replication=1)
            worker("produce-bare", cluster.bootstrap)  # warms the broker
            return [*rows("produce", cluster.bootstrap), *rows("consume", cluster.bootstrap)]
        finally:
            cluster.kill()


def rows(what: str, bootstrap: str) -> list[Row]:
    """Return the CPU and the rate of one direction."""
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(worker(f"{what}-bare", bootstrap))
        ours.append(worker(f"{what}-ours", bootstrap))
    note = f"median of {ROUNDS} interleaved rounds of {RECORDS:,} records of {SIZE} B"
    cpu, bare_cpu = (statistics.median(r["cpu_us"] for r in side) for side in (ours, bare))
    rate, bare_rate = (statistics.median(r["rate"] for r in side) for side in (ours, bare))
    peer = "bare confluent-kafka"
    return [
        {
            "bench": "sdk",
            "case": f"{what}, CPU",
            "ours": round(cpu, 3),
            "peer": round(bare_cpu, 3),
            "peer_name": peer,
            "unit": "µs/record",
            "ratio": round(cpu / bare_cpu, 3),
            "goal": f"at most {GOAL} times",
            "met": cpu / bare_cpu <= GOAL,
            "note": note,
        },
        {
            "bench": "sdk",
            "case": f"{what}, rate",
            "ours": round(rate),
            "peer": round(bare_rate),
            "peer_name": peer,
            "unit": "records/s",
            "ratio": round(rate / bare_rate, 3),
            "goal": "none",
            "met": None,
            "note": note,
        },
    ]


def worker(name: str, bootstrap: str) -> dict[str, float]:
    """Run one round in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.sdk_throughput", name, bootstrap],
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def create(bootstrap: str, topic: str, *, replication: int) -> None:
    """Create the topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, PARTITIONS, replication)
    admin.create_topics([new])[topic].result(30)


def connect(bootstrap: str, topic: str, *, replication: int = 1) -> penstock.Client:
    """Connect to one cluster by static metadata."""
    placement = topics.Placement(
        cluster="bench", topic=topic, partitions=PARTITIONS, replication=replication
    )
    epoch = topics.Epoch(
        number=1,
        state=topics.EpochState.OPEN,
        routing=topics.Routing.FAILOVER,
        placements=(placement,),
    )
    declared = topics.Topic(name=topic, environment="bench", owner="bench", epochs=(epoch,))
    at = {clusters.AuthMode.PLAINTEXT: bootstrap}
    cluster = clusters.Cluster(name="bench", environment="bench", bootstrap=at)
    snapshot = metadata.Snapshot(
        version=1, clusters={"bench": cluster}, topics={declared.ident: declared}
    )
    return penstock.connect("bench", metadata=penstock.StaticMetadata(snapshot))


def bare_producer(bootstrap: str, profile: profiles.Profile) -> confluent_kafka.Producer:
    """Return a producer with the profile's settings."""
    settings = profiles.producer_settings(profile, overrides={})
    return confluent_kafka.Producer({**settings, "bootstrap.servers": bootstrap})


def bare_consumer(bootstrap: str, profile: profiles.Profile) -> confluent_kafka.Consumer:
    """Return a consumer with the profile's settings, in a group of its own."""
    settings: dict[str, Any] = dict(profiles.consumer_settings(profile, overrides={}))
    settings |= {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex}
    return confluent_kafka.Consumer({**settings, "auto.offset.reset": "earliest"})


def produce_bare(bootstrap: str) -> dict[str, float]:
    """Send with the bare client, counting deliveries."""
    producer = bare_producer(bootstrap, PROFILE)
    producer.list_topics(TOPIC, 30)
    value = bytes(SIZE)
    counts = {"acked": 0, "failed": 0}

    def delivered(error: object, _: object) -> None:
        counts["acked" if error is None else "failed"] += 1

    def send_all() -> None:
        for number in range(RECORDS):
            while True:
                try:
                    producer.produce(TOPIC, value, headers=HEADERS, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.02)
            if not number & 127:
                producer.poll(0)
        producer.flush()

    result = timed(send_all)
    assert counts == {"acked": RECORDS, "failed": 0}
    return result


def produce_ours(bootstrap: str) -> dict[str, float]:
    """Send with the SDK; `flush` raises when a record was not delivered."""
    with connect(bootstrap, TOPIC) as client:
        producer = client.producer(TOPIC, profile=PROFILE)
        producer.send(b"warm")
        value = bytes(SIZE)

        def send_all() -> None:
            for _ in range(RECORDS):
                producer.send_nowait(value)
            producer.flush()

        return timed(send_all)


def consume_bare(bootstrap: str) -> dict[str, float]:
    """Read in batches with the bare client."""
    consumer = bare_consumer(bootstrap, profiles.Profile.DURABLE)
    consumer.subscribe([TOPIC])
    while consumer.poll(0.1) is None:
        pass

    def read_all() -> None:
        count = size = 0
        committed_at = time.monotonic()
        while count < RECORDS:
            for message in consumer.consume(1_000, 0.1):
                if message.error() is None:
                    size += len(message.value())
                    count += 1
            if time.monotonic() - committed_at > 1:
                consumer.commit(asynchronous=True)
                committed_at = time.monotonic()

    result = timed(read_all)
    consumer.close()
    return result


def consume_ours(bootstrap: str) -> dict[str, float]:
    """Read in batches with the SDK, acking each."""
    with connect(bootstrap, TOPIC) as client:
        consumer = client.consumer(TOPIC, group=uuid.uuid4().hex)
        batches = consumer.batches()
        while not next(batches):
            pass

        def read_all() -> None:
            count = size = 0
            for batch in batches:
                for record in batch:
                    size += len(record.value or b"")
                    count += 1
                consumer.ack(batch)
                if count >= RECORDS:
                    return

        return timed(read_all)


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Return CPU a record and records a second."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_us": cpu / RECORDS * 1e6, "rate": RECORDS / wall}


WORKERS: dict[str, Callable[[str], dict[str, float]]] = {
    "produce-bare": produce_bare,
    "produce-ours": produce_ours,
    "consume-bare": consume_bare,
    "consume-ours": consume_ours,
}

if __name__ == "__main__":
    print(json.dumps(WORKERS[sys.argv[1]](sys.argv[2])))
