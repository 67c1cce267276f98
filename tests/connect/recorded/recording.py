"""What records the records of a real connector: a cluster, a Connect worker, and a file for them.

    connector ─JsonConverter, with schemas─▶ topics ─▶ <name>.json

A file holds the records of one connector in the order of their topics, and each schema once. The
transform is not in the way: it is what the records are for. Run by hand, never by a test.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from penstock.runtime import connect, embedded, plugins, processes
from penstock.runtime.supervised import Service

HERE = Path(__file__).parent
DEADLINE_S = 40
_POLL_S = 0.3
_JSON = "org.apache.kafka.connect.json.JsonConverter"
_CONVERTERS = {
    "key.converter": _JSON,
    "value.converter": _JSON,
    "header.converter": _JSON,
    "key.converter.replace.null.with.default": "false",
    "value.converter.replace.null.with.default": "false",
}


class Recording:
    """A running cluster and worker."""

    def __init__(self, kafka: embedded.Cluster, worker: str) -> None:
        self._kafka = kafka
        self._worker = worker

    @contextmanager
    def connector(self, name: str, config: Mapping[str, str]) -> Iterator[None]:
        """Run a connector that gives JSON with schemas."""
        address = f"{self._worker}/connectors/{name}"
        made = {"tasks.max": "1", **_CONVERTERS, **config}
        answer = httpx.put(f"{address}/config", json=made, timeout=60)
        if answer.is_error:
            sys.exit(answer.text)
        yield
        httpx.delete(address, timeout=60).raise_for_status()

    def create(self, topics: Sequence[str]) -> None:
        admin = AdminClient({"bootstrap.servers": self._kafka.bootstrap})
        wanted = [NewTopic(name, num_partitions=1, replication_factor=1) for name in topics]
        for future in admin.create_topics(wanted).values():
            future.result()

    def read(self, topics: list[str]) -> list[dict[str, object]]:
        """Return everything that is in the topics."""
        consumer = Consumer({"bootstrap.servers": self._kafka.bootstrap, "group.id": "record"})
        found: list[dict[str, object]] = []
        for topic in topics:
            end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1]
            consumer.assign([TopicPartition(topic, 0, 0)])
            found.extend(map(_record, consumer.consume(end, timeout=10) if end else []))
        consumer.close()
        return found

    def write(self, name: str, records: list[dict[str, object]]) -> None:
        """Write the records to their file."""
        schemas: dict[str, object] = {}
        for record in records:
            record["key"] = _shortened(record["key"], schemas)
            record["value"] = _shortened(record["value"], schemas)
            record["headers"] = [[n, _shortened(v, schemas)] for n, v in record["headers"]]
        lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in records)
        told = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in schemas.items())
        text = f'{{"schemas": {{\n{told}\n}}, "records": [\n{lines}\n]}}\n'
        (HERE / f"{name}.json").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(records)} records\n")


def _record(message: Message) -> dict[str, object]:
    return {
        "topic": message.topic(),
        "key": _parsed(message.key()),
        "value": _parsed(message.value()),
        "headers": [[name, _parsed(value)] for name, value in message.headers() or []],
    }


def _parsed(content: bytes | None) -> object:
    return None if content is None else json.loads(content)


def _shortened(part: object, schemas: dict[str, object]) -> object:
    """Put the name of the schema where the schema stands."""
    if not isinstance(part, dict):
        return part
    text = json.dumps(part["schema"], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    schemas[name] = part["schema"]
    return {"schema": name, "payload": part["payload"]}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {DEADLINE_S} s: {what}")
        pause.wait(_POLL_S)


@contextmanager
def started(services: Sequence[Service]) -> Iterator[None]:
    """Run the services until the block ends."""
    running = [processes.spawn(service.spec()) for service in services]
    try:
        for service in services:
            wait_until(service.ready, service.name)
        yield
    finally:
        processes.terminate(running, within_s=5)


@contextmanager
def recording(home: Path, found: Sequence[Path]) -> Iterator[Recording]:
    """Start a cluster and a worker with the plug-ins of these directories."""
    kafka = embedded.start(home, "record")
    group = connect.prepare(
        home,
        "record",
        bootstrap=kafka.bootstrap,
        brokers=1,
        plugins=found,
    )
    try:
        with started(connect.services(home, group, jars=plugins.worker_jars())):
            yield Recording(kafka, group.workers[0].address)
    finally:
        kafka.kill()
