"""Where the partitions of a topic end now: one request by a client that stays open.

(Admin, topic) ─metadata, list offsets─▶ the offset after the last, by partition number
"""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from penstock.errors import NotReady
from penstock.kafka import answers
from penstock.kafka.admin import Admin

__all__ = ["end_offsets"]

_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


def end_offsets(admin: Admin, topic: str) -> dict[int, int]:
    """Return the offset after the last record of each partition.

    Raises:
        NotReady: when the cluster does not answer in time, or has no such topic.
    """
    try:
        seen = admin.client.list_topics(topic, timeout=admin.timeout_s).topics[topic]
    except KafkaException as error:
        raise answers.translated(error, where=admin.where, doing=f"look at {topic}") from error
    if not seen.partitions:
        raise NotReady(f"{admin.where} has no topic {topic} yet; apply the estate, then try again")
    partitions = [TopicPartition(topic, number) for number in seen.partitions]
    asked = admin.client.list_offsets(
        dict.fromkeys(partitions, _LATEST), request_timeout=admin.timeout_s
    )
    ends: dict[int, int] = {}
    for partition, future in asked.items():
        answer = admin.wait(future, doing=f"tell where {topic} ends")
        if answer is None:
            raise NotReady(f"{admin.where} told nothing of {topic}; try again")
        ends[partition.partition] = answer.offset
    return ends
