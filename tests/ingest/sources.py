"""Topics with counted records, and what a table holds in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.ingest import delta
from penstock.kafka import clients
from penstock.kafka.admin import Admin
from penstock.runtime import embedded
from penstock.telemetry import attributes


@dataclass
class Source:
    """A topic on real clusters, and what was acked on it: (cluster, partition, offset) → value."""

    topic: str
    clusters: dict[str, embedded.Cluster]
    acked: dict[tuple[str, int, int], bytes | None] = field(default_factory=dict)

    @property
    def bootstraps(self) -> dict[str, str]:
        return {name: cluster.bootstrap for name, cluster in self.clusters.items()}

    def send(
        self,
        values: list[bytes | None],
        *,
        cluster: str,
        key: bytes | None = b"k",
        partition: int | None = None,
        settings: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> None:
        """Produce the values to one partition or in turn over all, and wait for every ack."""
        failures: list[clients.KafkaError] = []

        def acked(error: clients.KafkaError | None, message: Any) -> None:
            if error:
                failures.append(error)
            else:
                place = (cluster, message.partition(), message.offset())
                self.acked[place] = message.value()

        producer = clients.open_producer(
            {
                "bootstrap.servers": self.clusters[cluster].bootstrap,
                "linger.ms": 0,
                **(settings or {}),
            },
            failures=clients.Failures(),
        )
        for index, value in enumerate(values):
            number = index % 3 if partition is None else partition
            producer.produce(
                self.topic,
                value,
                key=key,
                partition=number,
                headers=[(attributes.CE_ID, ids[index].encode())] if ids else None,
                on_delivery=acked,
            )
        assert producer.flush(60) == 0
        assert not failures

    def send_rows(self, count: int, *, cluster: str, first: int = 0) -> None:
        self.send([good(n) for n in range(first, first + count)], cluster=cluster)


def good(n: int) -> bytes:
    return json.dumps({"id": f"r{n}", "n": n, "at": f"2026-11-{1 + n % 3:02}T00:00:00Z"}).encode()


def make_source(clusters: dict[str, embedded.Cluster], topic: str) -> Source:
    for name, cluster in clusters.items():
        Admin(name, cluster.bootstrap).create_topic(topic, partitions=3, replication=1, config={})
    return Source(topic=topic, clusters=clusters)


def read(path: Path) -> list[dict[str, Any]]:
    """Return every row of the table, none where there is no table yet."""
    table = delta.read_table(path)
    rows: list[dict[str, Any]] = pa.table(table.newest(10**9)).to_pylist() if table else []
    return rows


def places(rows: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return sorted((row["cluster"], row["partition"], row["offset"]) for row in rows)
