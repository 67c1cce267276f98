"""What a topic holds: offsets, whether any record is left, and deleting every record.

    begin == end everywhere ─▶ empty
    else read begin … end   ─▶ a record ─▶ not empty
                            └─ only gaps and transaction markers ─▶ empty

End minus begin cannot prove emptiness: compaction leaves gaps, transactions leave markers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from penstock.errors import NotReady, RemoteError
from penstock.kafka import answers
from penstock.kafka.admin import Admin

__all__ = ["Span", "delete_records", "has_records", "spans"]

T = TypeVar("T")

_POLL_S = 0.2
_RETRY_S = 0.1
_FIRST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_END: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Span = tuple[int, int]
"""Begin offset, end offset (one past the last)."""


def spans(admin: Admin, topic: str) -> dict[int, Span]:
    """Return the first and the end offset of each partition.

    Raises:
        NotReady: when the cluster does not answer in time, or has no such topic.
    """
    numbers = _partitions(admin, topic)
    begins = _patiently(admin, lambda: _offsets(admin, topic, numbers, at=_FIRST))
    ends = _patiently(admin, lambda: _offsets(admin, topic, numbers, at=_END))
    return {number: (begins[number], ends[number]) for number in numbers}


def has_records(admin: Admin, topic: str, *, timeout_s: float = 30.0) -> bool:
    """Tell whether any record can be read from the topic, of open transactions as well.

    Raises:
        NotReady: when that could not be found out in time: never guess.
    """
    left = {number: span for number, span in spans(admin, topic).items() if span[0] < span[1]}
    return bool(left) and _reads_a_record(admin, topic, left, timeout_s=timeout_s)


def delete_records(admin: Admin, topic: str) -> int:
    """Delete every record that is in the topic now; return how many offsets that freed.

    Raises:
        NotReady: when the cluster does not answer in time, or has no such topic.
        Refused: when its cleanup policy does not include ``delete``.
    """
    before = spans(admin, topic)
    _patiently(admin, lambda: _delete(admin, topic, before))
    return sum(end - begin for begin, end in before.values())


def _patiently(admin: Admin, ask: Callable[[], T]) -> T:
    """Ask again while leaders are moving: right after its creation a topic's leaders do."""
    deadline = time.monotonic() + admin.timeout_s
    while True:
        try:
            return ask()
        except NotReady:
            if time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def _delete(admin: Admin, topic: str, numbers: Iterable[int]) -> None:
    targets = [TopicPartition(topic, number, OFFSET_END) for number in numbers]
    asked = admin.client.delete_records(targets, request_timeout=admin.timeout_s)
    for future in asked.values():
        admin.wait(future, doing=f"delete the records of {topic}")


def _partitions(admin: Admin, topic: str) -> list[int]:
    try:
        seen = admin.client.list_topics(topic, timeout=admin.timeout_s).topics[topic]
    except KafkaException as error:
        raise answers.translated(error, where=admin.where, doing=f"look at {topic}") from error
    if not seen.partitions:
        raise NotReady(f"{admin.where} has no topic {topic}; plan again")
    return sorted(seen.partitions)


def _offsets(admin: Admin, topic: str, numbers: Iterable[int], *, at: OffsetSpec) -> dict[int, int]:
    asked = admin.client.list_offsets(
        {TopicPartition(topic, number): at for number in numbers},
        request_timeout=admin.timeout_s,
    )
    found = {}
    for partition, future in asked.items():
        answer = admin.wait(future, doing=f"list the offsets of {topic}")
        if answer is None:
            raise RemoteError(f"{admin.where} gave no offset of {topic}; try again")
        found[partition.partition] = int(answer.offset)
    return found


def _reads_a_record(admin: Admin, topic: str, left: dict[int, Span], *, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    with closing(_open_reader(admin)) as reader:
        reader.assign([TopicPartition(topic, number, begin) for number, (begin, _) in left.items()])
        unread = dict(left)
        while unread:
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{admin.where}: {topic} could not be read to its end within {timeout_s:.0f} s,"
                    " so nobody knows whether it holds records; try again"
                )
            message = reader.poll(_POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return True
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                unread.pop(message.partition() or 0, None)
    return False


def _open_reader(admin: Admin) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": admin.bootstrap,
            "group.id": "penstock-control",  # demanded by librdkafka; nothing is ever committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
