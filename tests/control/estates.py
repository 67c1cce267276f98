"""Estates for tests: documents as text, planned and applied through a real control plane."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer

from penstock.api._gen import penstock_pb2 as pb
from penstock.api.client import ControlClient


def cluster_document(name: str, **fields: object) -> str:
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
    return "\n".join(
        ["kind: Cluster", f"name: {name}", "environment: test", "category: events"]
        + ([] if "bootstrap" in fields else ["embedded: true"])
        + lines
    )


def topic_document(name: str, **fields: object) -> str:
    values: dict[str, object] = {
        "owner": "platform",
        "description": "a test",
        "clusters": "[primary, standby]",
        "routing": "failover",
        "ordering": "none",
        "partitions": 1,
        "replication": 1,
        **fields,
    }
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in values.items()]
    return "\n".join(["kind: Topic", f"name: {name}", *lines])


def estate(
    *topics: str, clusters: Sequence[str] = ("primary", "standby"), **of_clusters: str
) -> list[pb.EstateFile]:
    """Return estate files: a file of clusters, and one of these topic documents."""
    documents = [of_clusters.get(name) or cluster_document(name) for name in clusters]
    files = [pb.EstateFile(path="clusters.yaml", content="\n---\n".join(documents) + "\n")]
    if topics:
        files.append(pb.EstateFile(path="topics.yaml", content="\n---\n".join(topics) + "\n"))
    return files


def apply_all(client: ControlClient, files: list[pb.EstateFile]) -> list[pb.ApplyEvent]:
    """Plan and apply; fail the test when a change was not done."""
    events = list(client.apply(files, digest=client.plan(files).digest))
    assert not [event for event in events if event.error]
    return events


def kinds(plan: pb.PlanResponse) -> list[str]:
    return [change.kind for change in plan.changes]


def produce(bootstrap: str, topic: str, *, records: int = 1) -> None:
    """Write records and wait for their acknowledgement."""
    errors = []
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number in range(records):
        producer.produce(topic, value=str(number), on_delivery=lambda e, _: errors.append(e))
    producer.flush(60)
    assert [error for error in errors if error is not None] == []
    assert len(errors) == records
