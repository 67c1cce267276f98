"""Records of one poll as columns: what the door to Kafka hands on, never a client's own object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.ingest.plan import Gap, Source

__all__ = ["Polled", "Records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Records of one physical topic; every sequence has one entry a record.

    Attributes:
        timestamps_ms: Kafka's timestamp, milliseconds since 1970, UTC.
        record_ids: the SDK's stable id, None for a record that another producer sent.
    """

    source: Source
    partitions: Sequence[int]
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamps_ms: Sequence[int]
    record_ids: Sequence[str | None]

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self.offsets)

    @property
    def size_bytes(self) -> int:
        """Return the size of all values."""
        return sum(len(value) for value in self.values if value)

    def select(self, indexes: Sequence[int]) -> Records:
        """Return the records at the indexes, in that order."""
        if len(indexes) == len(self):
            return self
        return Records(
            source=self.source,
            partitions=[self.partitions[i] for i in indexes],
            offsets=[self.offsets[i] for i in indexes],
            keys=[self.keys[i] for i in indexes],
            values=[self.values[i] for i in indexes],
            timestamps_ms=[self.timestamps_ms[i] for i in indexes],
            record_ids=[self.record_ids[i] for i in indexes],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What one poll of one cluster gave."""

    records: tuple[Records, ...] = ()
    gaps: tuple[Gap, ...] = field(default=())
