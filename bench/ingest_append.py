"""Appending a topic to a Delta table: rows a CPU second, end to end from the broker.

    one topic of records ─▶ embedded · Penstock on Spark · Spark Structured Streaming's own ─▶ Delta

Each in a process of its own, on the same topic, to a table of its own; CPU is the process's and its
children's (Spark's JVM, its Python workers), from the first record asked for to the last commit.
All are warmed up by landing a small topic first, which no figure holds.
Spark's own protobuf reader is a jar that cannot be had here. Beside protobuf stand two ways without
it: Spark decoding by protobuf's own Python classes, as its users do then, and Spark landing the bytes
as they are, which costs it less than the task would.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Producer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from bench import workers
from bench.rows import Row
from penstock.ingest.decoders.opening import open_decoder
from penstock.model import tables
from penstock.runtime import embedded

RECORDS = 2_000_000
WARM_UP = 50_000
DECODED = 100_000
PARTITIONS = 6
ROUNDS = 3
GOALS = {"json": 400_000, "protobuf": 600_000}
RATIO_GOAL = 5.0
PEER = "Spark Structured Streaming, local"
PEERS = {
    "json": {"streaming": PEER},
    "protobuf": {
        "decoding": f"{PEER}, decoding in Python",
        "streaming": f"{PEER}, bytes undecoded",
    },
}
COLUMNS = {
    "id": "string",
    "customer": "string",
    "city": "string",
    "sku": "string",
    "count": "long",
    "price": "double",
    "paid": "boolean",
}


def run() -> list[Row]:
    """Measure both formats."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        home = Path(directory)
        cluster = embedded.start(home, "bench", brokers=1)
        try:
            for kind in GOALS:
                _fill(cluster.bootstrap, home, kind)
            return [row for kind in GOALS for row in _rows(kind, cluster.bootstrap, home)]
        finally:
            cluster.kill()


def _rows(kind: str, bootstrap: str, home: Path) -> Iterator[Row]:
    rates: dict[str, list[float]] = defaultdict(list)
    # By turns: the machine may be shared, and slower at one time than at another.
    for n, way in itertools.product(range(ROUNDS), ("decoder", "embedded", *PEERS[kind])):
        rates[way].append(_measured(way, kind, bootstrap, home / f"{way}{n}"))
    rates["engine"].append(_measured("engine", kind, bootstrap, home / "engine"))
    rate = {way: statistics.median(each) for way, each in rates.items()}
    size = len(_encoders(home)[kind](0))
    yield _row(f"{kind}, the decoder alone", rate["decoder"]) | {
        "note": "from memory: no more than this can come of a topic, on the machine as it was"
    }
    goal = f"at least {GOALS[kind]:,}, {RATIO_GOAL:g} times Spark's"
    for way, peer in PEERS[kind].items():
        ours, theirs = rate["embedded"], rate[way]
        yield _row(f"append {kind}, embedded", ours, theirs, peer=peer) | {
            "goal": goal,
            "met": ours >= GOALS[kind] and ours >= RATIO_GOAL * theirs,
            "note": f"{RECORDS:,} records of {size} B; median of {ROUNDS}, by turns with the peer",
        }
        yield _row(f"append {kind}, engine: spark", rate["engine"], theirs, peer=peer) | {
            "note": "one run"
        }


def _row(case: str, ours: float, theirs: float | None = None, *, peer: str | None = None) -> Row:
    return {
        "bench": "append",
        "case": case,
        "ours": round(ours),
        "peer": theirs and round(theirs),
        "peer_name": peer,
        "unit": "rows/CPU s",
        "ratio": theirs and round(ours / theirs, 2),
        "goal": "none",
        "met": None,
    }


def _measured(how: str, kind: str, bootstrap: str, home: Path) -> float:
    """Return rows a CPU second of one run in a process of its own."""
    return float(workers.measured("bench.ingest_append", how, kind, bootstrap, home))


def _encoders(home: Path) -> dict[str, Callable[[int], bytes]]:
    """Return what writes the n-th record, by format; makes the descriptor file of protobuf."""
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="bench", syntax="proto3")
    order = file.message_type.add(name="Order")
    kinds = {"string": "STRING", "long": "INT64", "double": "DOUBLE", "boolean": "BOOL"}
    for number, (name, kind) in enumerate(COLUMNS.items(), start=1):
        order.field.add(
            name=name, number=number, type=f"TYPE_{kinds[kind]}", label="LABEL_OPTIONAL"
        )
    content = descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()
    (home / "order.desc").write_bytes(content)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("bench.Order"))
    return {
        "json": lambda n: json.dumps(_order(n)).encode(),
        "protobuf": lambda n: message(**_order(n)).SerializeToString(),
    }


def _order(n: int) -> dict[str, Any]:
    return {
        "id": f"order-{n:012}",
        "customer": f"customer-{n % 100_000:08}-with-a-name-of-some-length",
        "city": ("Amsterdam", "Berlin", "Copenhagen", "Dublin")[n % 4],
        "sku": f"sku-{n % 1_000:06}",
        "count": n % 9,
        "price": n % 10_000 / 100,
        "paid": n % 2 == 0,
    }


def _fill(bootstrap: str, home: Path, kind: str) -> None:
    encode = _encoders(home)[kind]
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "acks": "1"})
    for topic, count in ((kind, RECORDS), (f"{kind}-warm", WARM_UP)):
        workers.make_topic(bootstrap, topic, partitions=PARTITIONS)
        for n in range(count):
            while True:
                try:
                    producer.produce(topic, encode(n), partition=n % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.flush()


def _table(kind: str, topic: str, home: Path) -> tables.Table:
    decoder = tables.Decoder()
    if kind == "protobuf":
        decoder = tables.Decoder(
            format=tables.Format.PROTOBUF,
            descriptor=str(home.parent / "order.desc"),
            message="bench.Order",
        )
    return tables.Table(
        name=topic,
        topic=topic,
        environment="bench",
        owner="bench",
        path=topic,
        decoder=decoder,
        columns=tuple(tables.Column(name=n, type=t) for n, t in COLUMNS.items()),
        latency_ms=1_000,
    )


def _land(table: tables.Table, bootstrap: str, home: Path, rows: int, **told: Any) -> None:
    """Run the table's worker until it has every row."""
    with workers.running(
        table, bootstrap=bootstrap, lake=home, partitions=PARTITIONS, **told
    ) as worker:
        workers.wait(worker, lambda progress: progress.rows >= rows)


def decoder_run(kind: str, bootstrap: str, home: Path) -> float:  # noqa: ARG001 - as the others
    """Decode what is in memory already, in arrays as large as a batch of the worker's."""
    encode = _encoders(home.parent)[kind]
    decoder = open_decoder(_table(kind, kind, home))
    values = pa.array([encode(n) for n in range(DECODED)], pa.binary())
    decoder.decode(values)
    before = workers.cpu_s()
    for _ in range(RECORDS // DECODED):
        decoder.decode(values)
    return RECORDS / (workers.cpu_s() - before)


def embedded_run(kind: str, bootstrap: str, home: Path) -> float:
    """Land by the ingest process's own engine."""
    warm = f"{kind}-warm"
    _land(_table(kind, warm, home), bootstrap, home, WARM_UP)
    return _timed(lambda: _land(_table(kind, kind, home), bootstrap, home, RECORDS))


def engine_run(kind: str, bootstrap: str, home: Path) -> float:
    """Land by the same worker, with engine: spark."""
    from penstock.ingest.engines import spark_session  # noqa: PLC0415 - an extra
    from penstock.runtime import spark  # noqa: PLC0415

    settings = spark.settings(home / "spark")
    spark_session.open_session(settings)

    def land(topic: str, rows: int) -> None:
        table = replace(_table(kind, topic, home), engine=tables.Engine.SPARK)
        _land(table, bootstrap, home, rows, spark=lambda: settings)

    land(f"{kind}-warm", WARM_UP)
    return _timed(lambda: land(kind, RECORDS))


def streaming_run(kind: str, bootstrap: str, home: Path) -> float:
    """Land by Spark's own streaming query; protobuf undecoded."""
    if kind != "json":
        return _stream(kind, bootstrap, home, lambda read: read.select("value"))
    types = _spark_types()
    parsed = f"from_json(CAST(value AS STRING), '{types}') AS row"
    return _stream(kind, bootstrap, home, lambda read: read.selectExpr(parsed).select("row.*"))


def decoding_run(kind: str, bootstrap: str, home: Path) -> float:
    """Land by Spark's own streaming query that decodes protobuf in Python."""
    file = descriptor_pb2.FileDescriptorSet.FromString((home.parent / "order.desc").read_bytes())
    described = file.file[0].SerializeToString()

    def decoded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(described)
        parse = message_factory.GetMessageClass(
            pool.FindMessageTypeByName("bench.Order")
        ).FromString
        for batch in batches:
            messages = [parse(value) for value in batch["value"].to_pylist()]
            yield pa.RecordBatch.from_pydict(
                {name: [getattr(each, name) for each in messages] for name in COLUMNS}
            )

    types = _spark_types()
    return _stream(
        kind, bootstrap, home, lambda read: read.select("value").mapInArrow(decoded, types)
    )


def _spark_types() -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in COLUMNS.items())


def _stream(kind: str, bootstrap: str, home: Path, shape: Callable[[Any], Any]) -> float:
    """Land at once all that is there."""
    from penstock.ingest.engines import spark_session  # noqa: PLC0415 - an extra
    from penstock.runtime import spark  # noqa: PLC0415

    session = spark_session.open_session(spark.settings(home / "spark"))

    def land(topic: str) -> None:
        read = (
            session.readStream.format("kafka")
            .option("kafka.bootstrap.servers", bootstrap)
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .load()
        )
        query = (
            shape(read)
            .writeStream.format("delta")
            .option("checkpointLocation", str(home / f"{topic}-checkpoint"))
            .trigger(availableNow=True)
            .start(str(home / topic))
        )
        query.awaitTermination()

    land(f"{kind}-warm")
    rate = _timed(lambda: land(kind))
    assert session.read.format("delta").load(str(home / kind)).count() == RECORDS
    return rate


def _timed(work: Callable[[], None]) -> float:
    before = workers.cpu_s()
    begun = time.perf_counter()
    work()
    used = workers.cpu_s() - before
    print(f"  {time.perf_counter() - begun:.1f} s, {used:.1f} CPU s", file=sys.stderr)
    return RECORDS / used


WAYS: dict[str, Callable[[str, str, Path], float]] = {
    "decoder": decoder_run,
    "embedded": embedded_run,
    "decoding": decoding_run,
    "engine": engine_run,
    "streaming": streaming_run,
}

if __name__ == "__main__":
    _, way, format_, address, place = sys.argv
    Path(place).mkdir(parents=True, exist_ok=True)
    print(WAYS[way](format_, address, Path(place)))
