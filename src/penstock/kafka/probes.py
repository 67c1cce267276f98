"""Looks at a cluster from outside, as a client would see it.

    host:port ─TCP connect─▶ open? ─metadata request─▶ Seen(brokers, partitions)

For waiting and for live views: one request, no retries of its own, nothing cached. Never changes
anything.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from penstock.errors import NotReady

__all__ = ["Partition", "Seen", "end_offsets", "is_open", "look", "wait_ready"]

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition as the metadata has it; ``leader`` is -1 where there is none."""

    topic: str
    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A cluster's answer to a metadata request.

    Attributes:
        brokers: node ids of the brokers that take part now.
    """

    cluster_id: str
    brokers: tuple[int, ...]
    partitions: tuple[Partition, ...]


def look(bootstrap: str, *, timeout_s: float = 2.0) -> Seen:
    """Return what the cluster says of itself.

    Raises:
        NotReady: when it does not answer in time.
    """
    if not any(is_open(address) for address in bootstrap.split(",")):
        raise NotReady(f"No broker listens on {bootstrap}. Start the cluster, or wait for it.")
    try:
        metadata = _client(bootstrap).list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise NotReady(
            f"The cluster at {bootstrap} did not answer within {timeout_s} s: {error}. Try again."
        ) from error
    return Seen(
        cluster_id=str(metadata.cluster_id),  # the stub of it says None
        brokers=tuple(sorted(metadata.brokers)),
        partitions=tuple(
            Partition(
                topic=name,
                number=partition.id,
                leader=partition.leader,
                replicas=tuple(partition.replicas),
                in_sync=tuple(partition.isrs),
            )
            for name, topic in metadata.topics.items()
            for partition in topic.partitions.values()
        ),
    )


def end_offsets(
    bootstrap: str, partitions: Iterable[Partition], *, timeout_s: float = 2.0
) -> dict[str, int]:
    """Return each topic's end offsets, added up over its partitions: what was ever written.

    Raises:
        NotReady: when the cluster does not answer in time.
    """
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    latest = {TopicPartition(p.topic, p.number): end for p in partitions}
    totals = {partition.topic: 0 for partition in latest}
    if not latest:
        return totals
    client = _client(bootstrap)  # kept: its answers come only while it lives
    for partition, answer in client.list_offsets(latest, request_timeout=timeout_s).items():
        try:
            totals[partition.topic] += answer.result(timeout=timeout_s).offset
        except (KafkaException, TimeoutError) as error:
            raise NotReady(
                f"The cluster at {bootstrap} did not tell the offsets of {partition.topic}: "
                f"{error}. Try again."
            ) from error
    return totals


def wait_ready(
    bootstrap: str,
    *,
    brokers: int,
    timeout_s: float,
    hopeless: Callable[[], str | None] = lambda: None,
) -> Seen:
    """Return when this many brokers take part in the cluster.

    Args:
        bootstrap: ``host:port,…``.
        brokers: how many must be seen.
        timeout_s: after which to give up.
        hopeless: returns why there is no point in waiting on, or None.

    Raises:
        NotReady: when the deadline passes or it is hopeless; with the last reason.
    """
    deadline = time.monotonic() + timeout_s
    reason = ""
    while time.monotonic() < deadline:
        if end := hopeless():
            raise NotReady(end)
        try:
            seen = look(bootstrap)
        except NotReady as error:
            reason = error.message
        else:
            if len(seen.brokers) >= brokers:
                return seen
            reason = f"{len(seen.brokers)} of {brokers} brokers take part."
        time.sleep(_POLL_S)
    raise NotReady(f"The cluster at {bootstrap} was not ready after {timeout_s:.0f} s. {reason}")


def is_open(address: str) -> bool:
    """Tell whether somebody listens on ``host:port``."""
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _client(bootstrap: str) -> AdminClient:
    # Errors are told by the answers: librdkafka need not print them as well.
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
