"""The newest records of a topic, and how many come: read once, by a plain consumer.

    placements ─watermarks─▶ last few offsets of each partition ─consume─▶ RAW
                └─offsets ten minutes ago─▶ records a second

Commits nothing and joins no group. A cluster that does not answer is told, and the others are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady, PenstockError
from penstock.ingest.plan import Source
from penstock.ingest.records import RAW, from_messages
from penstock.kafka import clients
from penstock.model.clusters import Cluster
from penstock.model.topics import Placement, Topic
from penstock.sdk import credentials

__all__ = ["Samples", "take"]

_SERVICE = "penstock-table-check"
_WINDOW_S = 600
_LOOK_UP_WITHIN_S = 5.0
_POLL_S = 0.5
_AT_END = clients.KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
_SETTINGS = {
    "group.id": _SERVICE,
    "client.id": _SERVICE,
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": 50,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What was seen of a topic.

    Attributes:
        raw: the newest records, as `records.RAW`.
        records_per_s: that came in the last ten minutes, on average.
        trouble: why clusters could not be read, by name.
    """

    raw: pa.Table
    records_per_s: float
    trouble: Mapping[str, str]

    @property
    def bytes_per_record(self) -> float:
        """Return the mean size of a value; 0 without records."""
        sizes = compute.binary_length(self.raw["value"])
        return float(compute.mean(sizes).as_py() or 0.0)


def take(
    topic: Topic,
    clusters: Mapping[str, Cluster],
    *,
    among: Sequence[str] = (),
    limit: int,
    within_s: float = 20.0,
) -> Samples:
    """Read the newest records of a topic.

    Args:
        topic: with its placements.
        clusters: by name, with their addresses.
        among: read only these clusters; none means every one.
        limit: about so many records, an equal share of each partition.
        within_s: what has come by then is what is returned.

    Raises:
        NotReady: when none of the clusters answers.
        ConfigError: when there is no way to reach a cluster.
    """
    placements = [p for p in topic.current.placements if not among or p.cluster in among]
    deadline = time.monotonic() + within_s
    pieces: list[pa.Table] = [RAW.empty_table()]
    rate, trouble = 0.0, {}
    for placement in placements:
        try:
            piece, found = _read(
                placement,
                clusters[placement.cluster],
                limit=max(1, limit // len(placements)),
                deadline=deadline,
            )
        except NotReady as error:
            trouble[placement.cluster] = error.message
            continue
        pieces.append(piece)
        rate += found
    if len(trouble) == len(placements):
        raise NotReady("; ".join(trouble.values()) or f"topic {topic.ident} is on no cluster")
    return Samples(
        raw=pa.concat_tables(pieces).combine_chunks(), records_per_s=rate, trouble=trouble
    )


def _read(
    placement: Placement, cluster: Cluster, *, limit: int, deadline: float
) -> tuple[pa.Table, float]:
    reach = credentials.reach(cluster, credentials.Credentials(), service=_SERVICE)
    failures = clients.Failures()
    consumer = clients.open_consumer({**reach.settings, **_SETTINGS}, failures=failures)
    with closing(consumer):
        try:
            begin, rate = _begin(consumer, placement, limit=limit)
            consumer.assign(begin)
            return _consume(consumer, placement, open_=len(begin), deadline=deadline), rate
        except clients.KafkaException as error:
            raise _explained(error.args[0], placement, failures) from error


def _begin(
    consumer: clients.Consumer, placement: Placement, *, limit: int
) -> tuple[list[clients.TopicPartition], float]:
    """Return where to begin in the partitions that hold records, and the records a second."""
    now_ms = int(time.time() * 1000)
    ends: dict[int, tuple[int, int]] = {}
    for number in range(placement.partitions):
        partition = clients.TopicPartition(placement.topic, number)
        low, high = consumer.get_watermark_offsets(partition, timeout=_LOOK_UP_WITHIN_S)
        if high > low:
            ends[number] = (low, high)
    if not ends:
        return [], 0.0
    earlier = consumer.offsets_for_times(
        [
            clients.TopicPartition(placement.topic, number, now_ms - _WINDOW_S * 1000)
            for number in ends
        ],
        timeout=_LOOK_UP_WITHIN_S,
    )
    recent = sum(ends[one.partition][1] - one.offset for one in earlier if one.offset >= 0)
    share = -(-limit // len(ends))
    begin = [
        clients.TopicPartition(placement.topic, number, max(low, high - share))
        for number, (low, high) in ends.items()
    ]
    return begin, recent / _WINDOW_S


def _consume(
    consumer: clients.Consumer, placement: Placement, *, open_: int, deadline: float
) -> pa.Table:
    source = Source(
        cluster=placement.cluster, topic=placement.topic, partitions=placement.partitions
    )
    pieces = [RAW.empty_table()]
    while open_ > 0 and time.monotonic() < deadline:
        found = consumer.consume(1_000, timeout=_POLL_S)
        good = []
        for message in found:
            error = message.error()
            if error is None:
                good.append(message)
            elif error.code() == _AT_END:
                open_ -= 1
            else:
                raise clients.KafkaException(error)
        if good:
            pieces.append(from_messages(source, good, record_ids=True))
    return pa.concat_tables(pieces)


def _explained(
    error: clients.KafkaError, placement: Placement, failures: clients.Failures
) -> PenstockError:
    return clients.explain(
        error,
        operation="consume",
        topic=placement.topic,
        cluster=placement.cluster,
        principal=_SERVICE,
        reason=failures.reason,
    )
