"""Where the partitions of a topic begin and end now: one request by a client that stays open.

(Admin, topic) ─metadata, list offsets─▶ the first offset, or the one after the last, by partition
"""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from penstock.errors import NotReady
from penstock.kafka import answers
from penstock.kafka.admin import Admin

__all__ = ["begin_offsets", "end_offsets"]

_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


def begin_offsets(admin: Admin, topic: str) -> dict[int, int]:
    """Return the offset of the first record that is still there, of each partition.

    Raises:
        NotReady: when the cluster does not answer in time, or has no such topic.
    """
    return _offsets(admin, topic, _EARLIEST)


def end_offsets(admin: Admin, topic: str) -> dict[int, int]:
    """Return the offset after the last record of each partition.

    Raises:
        NotReady: when the cluster does not answer in time, or has no such topic.
    """
    return _offsets(admin, topic, _LATEST)


def _offsets(admin: Admin, topic: str, which: OffsetSpec) -> dict[int, int]:
    try:
        seen = admin.client.list_topics(topic, timeout=admin.timeout_s).topics[topic]
    except KafkaException as error:
        raise answers.translated(error, where=admin.where, doing=f"look at {topic}") from error
    if not seen.partitions:
        raise NotReady(f"{admin.where} has no topic {topic} yet; apply the estate, then try again")
    partitions = [TopicPartition(topic, number) for number in seen.partitions]
    asked = admin.client.list_offsets(
        dict.fromkeys(partitions, which), request_timeout=admin.timeout_s
    )
    offsets: dict[int, int] = {}
    for partition, future in asked.items():
        answer = admin.wait(future, doing=f"tell the offsets of {topic}")
        if answer is None:
            raise NotReady(f"{admin.where} told nothing of {topic}; try again")
        offsets[partition.partition] = answer.offset
    return offsets
