"""Reads everything back that a drill left on its clusters.

    ends (before) ─┐
                   ├─▶ read_between ─▶ how often each record id lies there
    ends (after) ──┘

Reads the clusters directly, beside the SDK whose promise is tested. Never commits anything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import NotReady
from penstock.kafka import clients
from penstock.model.clusters import Cluster
from penstock.model.topics import Placement
from penstock.sdk import credentials
from penstock.telemetry import attributes

__all__ = ["Ends", "Place", "ends", "read_between"]

Place = tuple[str, str, int]
"""Cluster, physical topic, partition."""

Ends = Mapping[Place, int]
"""The offset after the newest record."""

_LOOK_UP_S = 10.0
_ENDS_WITHIN_S = 30.0
_AGAIN_S = 0.2
_READ_WITHIN_S = 120.0
_POLL_RECORDS = 10_000


def ends(clusters: Mapping[str, Cluster], placements: Sequence[Placement]) -> Ends:
    """Return where each partition ends now.

    Raises:
        NotReady: when a cluster does not answer.
    """
    found: dict[Place, int] = {}
    for placement in placements:
        consumer = _open(clusters[placement.cluster])
        try:
            for number in range(placement.partitions):
                end = _end(consumer, placement, number)
                found[placement.cluster, placement.topic, number] = end
        finally:
            consumer.close()
    return found


def read_between(
    clusters: Mapping[str, Cluster], *, first: Ends, end: Ends, prefix: str
) -> Counter[str]:
    """Count the records with an id that begins with ``prefix``, from ``first`` up to ``end``.

    Raises:
        NotReady: when they cannot all be read in two minutes.
    """
    found: Counter[str] = Counter()
    for name in sorted({cluster for cluster, _, _ in end}):
        left = {
            (topic, number): offset
            for (cluster, topic, number), offset in end.items()
            if cluster == name and offset > first[cluster, topic, number]
        }
        consumer = _open(clusters[name])
        try:
            consumer.assign([clients.TopicPartition(t, n, first[name, t, n]) for t, n in left])
            found.update(i for i in _ids(consumer, left, cluster=name) if i.startswith(prefix))
        finally:
            consumer.close()
    return found


def _end(consumer: clients.Consumer, placement: Placement, number: int) -> int:
    """Return where the partition ends; a cluster that has just come back may first say no."""
    place = clients.TopicPartition(placement.topic, number)
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while True:
        try:
            _, end = consumer.get_watermark_offsets(place, timeout=_LOOK_UP_S)
        except clients.KafkaException as error:
            if time.monotonic() < deadline:
                time.sleep(_AGAIN_S)
                continue
            raise NotReady(
                f"cluster {placement.cluster!r} does not tell where {placement.topic!r} ends: "
                f"{error}. Wait until it is ready (penstock status), then try again."
            ) from error
        return end


def _ids(
    consumer: clients.Consumer, left: dict[tuple[str, int], int], *, cluster: str
) -> list[str]:
    ids: list[str] = []
    deadline = time.monotonic() + _READ_WITHIN_S
    while left:
        # Any: the stubs allow a record without coordinates, which is never read.
        messages: list[Any] = consumer.consume(_POLL_RECORDS, 0.2)
        for message in messages:
            if message.error() is not None:
                continue
            place = (message.topic(), message.partition())
            if place in left and message.offset() < left[place]:
                ids.append(_id(message))
                if message.offset() + 1 == left[place]:
                    del left[place]
        if time.monotonic() > deadline:
            raise NotReady(
                f"the records on cluster {cluster!r} could not be read back in "
                f"{_READ_WITHIN_S:.0f} s. Check the cluster (penstock status), then drill again."
            )
    return ids


def _id(message: Any) -> str:
    headers: list[tuple[str, bytes]] = message.headers() or []
    return next((value.decode() for name, value in headers if name == attributes.CE_ID), "")


def _open(cluster: Cluster) -> clients.Consumer:
    reach = credentials.reach(cluster, credentials.Credentials(), service="penstock-drill")
    settings = {
        **reach.settings,
        "group.id": "penstock-drill",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
    }
    return clients.open_consumer(settings, failures=clients.Failures())
