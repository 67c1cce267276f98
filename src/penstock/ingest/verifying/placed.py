"""Rows that tell which record they are of, compared record by record.

rows with cluster, partition and offset ─numbers─▶ offset ranges of each partition ─judge─▶ Range
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
from pyarrow import compute

from penstock.ingest import plan
from penstock.ingest.plan import Gap, Partition, Positions
from penstock.ingest.verifying import compare
from penstock.ingest.verifying.compare import Range

__all__ = ["Placed", "kept_coordinates"]

_RANGES = 512
_NAMING = ("cluster", "topic", "partition", "offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Offsets ``begin <= o < end`` of a partition, in ranges numbered from ``first`` on."""

    partition: Partition
    begin: int
    end: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """How an append table that keeps coordinates is compared; `of` makes one.

    Attributes:
        columns: that are compared.
        kept: the column of each coordinate that the table keeps.
        size: offsets of a range.
        stretches: what is compared, by partition.
        whole: whether the topic keeps every record between its first and its last; else rows of
            records that it does not have are not judged.
        gaps: offsets that were deleted while the topic was read.
    """

    columns: pa.Schema
    kept: Mapping[str, str]
    size: int
    whole: bool
    stretches: Sequence[_Stretch] = ()
    gaps: Sequence[Gap] = field(default=())

    @classmethod
    def of(
        cls,
        columns: pa.Schema,
        kept: Mapping[str, str],
        *,
        begin: Positions,
        end: Positions,
        range_rows: int,
        whole: bool,
    ) -> Placed:
        """Cut the offsets ``begin <= o < end`` of each partition into ranges.

        Args:
            columns: that are compared.
            kept: the column of each coordinate that the table keeps.
            begin: by partition; only these are compared.
            end: by partition.
            range_rows: offsets of a range, unless there would be too many of them.
            whole: whether the topic keeps every record between its first and its last.
        """
        total = sum(max(0, end[p] - begin[p]) for p in begin)
        size = max(range_rows, -(-total // _RANGES))
        stretches, first = [], 0
        for partition in sorted(begin):
            stretch = _Stretch(
                partition=partition, begin=begin[partition], end=end[partition], first=first
            )
            stretches.append(stretch)
            first += max(0, -(-(stretch.end - stretch.begin) // size))
        return cls(columns=columns, kept=kept, size=size, whole=whole, stretches=stretches)

    @property
    def count(self) -> int:
        """Return how many ranges there are."""
        return sum(max(0, -(-(each.end - each.begin) // self.size)) for each in self.stretches)

    def without(self, gaps: Sequence[Gap]) -> Placed:
        """Return the same less what the topic does not have any more."""
        return replace(self, gaps=gaps)

    def numbers(self, rows: pa.Table) -> pa.Array:
        """Return the range of each row; null for one of no record that is compared."""
        offsets = rows[self.kept["offset"]].combine_chunks()
        found = pa.nulls(rows.num_rows, pa.int32())
        for each in self.stretches:
            mine = self._within(rows, each.partition, each.begin, each.end)
            steps = compute.divide(compute.subtract(offsets, each.begin), self.size)
            numbers = compute.add(steps, each.first)
            found = compute.if_else(mine, compute.if_else(mine, numbers, 0).cast(pa.int32()), found)
        for gap in self.gaps:
            gone = self._within(rows, gap.partition, gap.first, gap.end)
            found = compute.if_else(gone, pa.scalar(None, pa.int32()), found)
        return found

    def judge(self, number: int, source: pa.Table, table: pa.Table) -> Range:
        """Compare one range."""
        judged, _ = compare.compare(
            source,
            table,
            key=[self.kept[name] for name in _NAMING if name in self.kept],
            whole=self.whole,
            name=self._name(number),
        )
        return judged

    def _within(self, rows: pa.Table, partition: Partition, begin: int, end: int) -> pa.Array:
        offsets = rows[self.kept["offset"]]
        mask = compute.and_(compute.greater_equal(offsets, begin), compute.less(offsets, end))
        told = {
            "cluster": partition.cluster,
            "topic": partition.topic,
            "partition": partition.number,
        }
        for name, value in told.items():
            if name in self.kept:
                mask = compute.and_(mask, compute.equal(rows[self.kept[name]], value))
        return compute.fill_null(mask, fill_value=False).combine_chunks()

    def _name(self, number: int) -> str:
        each = [s for s in self.stretches if s.first <= number and s.end > s.begin][-1]
        begin = each.begin + (number - each.first) * self.size
        return f"{each.partition} offsets {begin} to {min(each.end, begin + self.size) - 1}"


def kept_coordinates(
    copied: Mapping[str, str], columns: Sequence[str], sources: Sequence[plan.Source]
) -> dict[str, str]:
    """Return the column of each coordinate, if they name a record; nothing if they do not.

    Args:
        copied: the coordinate that each derived column is, where it is one.
        columns: that the table has.
        sources: what it reads.
    """
    kept = {
        coordinate: name
        for name, coordinate in copied.items()
        if coordinate in _NAMING and name in columns
    }
    homes = {tuple(getattr(s, n) for n in ("cluster", "topic") if n in kept) for s in sources}
    single = all(source.partitions == 1 for source in sources)
    named = len(homes) == len(sources) and ("partition" in kept or single)
    return kept if "offset" in kept and named else {}
