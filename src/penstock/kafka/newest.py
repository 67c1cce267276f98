"""How new a topic is: the time of its newest record, without reading one.

(cluster, topics) ─list offsets, at the highest timestamp─▶ milliseconds by topic
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from penstock.errors import NotReady
from penstock.kafka import answers
from penstock.kafka.admin import Admin

__all__ = ["newest_ms"]

_NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]


def newest_ms(admin: Admin, topics: Iterable[str]) -> dict[str, int]:
    """Return the time of each topic's newest record, in ms since 1970; empty topics are left out.

    Raises:
        NotReady: when the cluster does not answer in time.
    """
    wanted = set(topics)
    if not wanted:
        return {}
    try:
        seen = admin.client.list_topics(timeout=admin.timeout_s).topics
    except KafkaException as error:
        raise answers.translated(error, where=admin.where, doing="list its topics") from error
    partitions = [
        TopicPartition(topic, number)
        for topic in sorted(wanted & seen.keys())
        for number in seen[topic].partitions
    ]
    if not partitions:
        return {}
    asked = admin.client.list_offsets(
        dict.fromkeys(partitions, _NEWEST), request_timeout=admin.timeout_s
    )
    newest: dict[str, int] = {}
    for partition, future in asked.items():
        answer = admin.wait(future, doing=f"tell the newest record of {partition.topic}")
        if answer is None:
            raise NotReady(f"{admin.where} told nothing of {partition.topic}; try again")
        if answer.timestamp >= 0:  # -1 where the partition is empty
            newest[partition.topic] = max(newest.get(partition.topic, 0), answer.timestamp)
    return newest
