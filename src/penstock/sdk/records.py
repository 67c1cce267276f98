"""A record as a consumer sees it: a thin view of librdkafka's message.

    Message ─Record─▶ value, key, id, type, source, time, headers      each read when asked for

Making one costs one small object; nothing is decoded until it is asked for, so a consumer can
filter by header alone. Never copies the payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple, overload

from penstock.kafka.clients import Message
from penstock.telemetry import attributes

__all__ = ["Batch", "Record", "Source"]


class Source:
    """Where records come from: one cluster, as one consumer reads it.

    Attributes:
        cluster: the cluster's name.
        logical: logical topic names by physical ones.
    """

    __slots__ = ("cluster", "logical")

    def __init__(self, cluster: str, logical: Mapping[str, str]) -> None:
        """Name the cluster and its topics."""
        self.cluster = cluster
        self.logical = logical


class Record(NamedTuple):
    """One record; every property is read from the message when asked for.

    A tuple, because making one is the only thing a consumer does for every record.
    """

    message: Message
    source_of: Source

    def __repr__(self) -> str:
        """Show where the record lies, not what it says."""
        return f"<Record {self.cluster}/{self.topic}/{self.partition}/{self.offset}>"

    @property
    def value(self) -> bytes | None:
        """Return the payload; None is a tombstone."""
        return self.message.value()

    @property
    def key(self) -> bytes | None:
        """Return the key."""
        return self.message.key()

    @property
    def headers(self) -> dict[str, bytes | None]:
        """Return the headers; of a name that stands twice, the last."""
        pairs = self.message.headers() or []
        items = pairs.items() if isinstance(pairs, dict) else pairs
        return {k: v.encode() if isinstance(v, str) else v for k, v in items}

    @property
    def id(self) -> str:
        """Return ``ce_id``, or an empty text for a record that was not sent by Penstock."""
        return self._text(attributes.CE_ID)

    @property
    def type(self) -> str:
        """Return ``ce_type``."""
        return self._text(attributes.CE_TYPE)

    @property
    def source(self) -> str:
        """Return ``ce_source``: the service that sent it."""
        return self._text(attributes.CE_SOURCE)

    @property
    def time(self) -> str:
        """Return ``ce_time``, RFC 3339 in UTC."""
        return self._text(attributes.CE_TIME)

    @property
    def timestamp_ms(self) -> int:
        """Return Kafka's timestamp, ms since 1970; -1 where there is none."""
        return self.message.timestamp()[1]

    @property
    def cluster(self) -> str:
        """Return the name of the cluster it was read from."""
        return self.source_of.cluster

    @property
    def topic(self) -> str:
        """Return the logical topic's name."""
        physical = self.message.topic() or ""
        return self.source_of.logical.get(physical, physical)

    @property
    def partition(self) -> int:
        """Return the partition on its cluster."""
        partition = self.message.partition()
        return -1 if partition is None else partition

    @property
    def offset(self) -> int:
        """Return the offset in the partition."""
        offset = self.message.offset()
        return -1 if offset is None else offset

    def _text(self, name: str) -> str:
        value = self.headers.get(name)
        return value.decode() if value else ""


_make_record = partial(tuple.__new__, Record)
_partitions = partial(map, Message.partition)  # without a line of Python for each


class Batch(Sequence[Record]):
    """Records of one cluster, in the order they were read; records are made as they are taken."""

    __slots__ = ("messages", "source_of")

    def __init__(self, messages: list[Message], source_of: Source) -> None:
        """View ``messages``, which came from ``source_of``."""
        self.messages = messages
        self.source_of = source_of

    @classmethod
    def nothing(cls) -> Batch:
        """Return an empty batch."""
        return cls([], Source("", {}))

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self.messages)

    def __iter__(self) -> Iterator[Record]:
        """Make the records one by one, without a line of Python for each."""
        return map(_make_record, zip(self.messages, repeat(self.source_of), strict=False))

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the offset after the last record of each physical topic and partition."""
        if len(self.source_of.logical) == 1:
            # `topic()` makes a new text each time, so it is not asked of every message.
            last = list(dict(zip(_partitions(self.messages), self.messages, strict=True)).values())
        else:
            last = self.messages
        return {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m in last}

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Batch: ...
    def __getitem__(self, index: int | slice) -> Record | Batch:
        """Return one record, or a smaller batch."""
        if isinstance(index, slice):
            return Batch(self.messages[index], self.source_of)
        return Record(self.messages[index], self.source_of)
