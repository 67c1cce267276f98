"""Compares a whole table with its topic: every record up to where the table stands.

    ends of the topic now ─▶ wait until the table is past them ─▶ one state of it, batch N
      ─▶ records up to where N ends ─decoded as the table does─▶ ┐
                                     rows of that state ─────────┴─▶ parts on disk ─▶ Range a part

Both sides may go on changing: a batch's plan says exactly which records its state of the table is
made of, so one look is enough. Memory is bounded by a part of each side, disk by both sides' rows,
compressed. Reads only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import compute

from penstock.errors import NotReady
from penstock.ingest import changes, folding, fresh, letters
from penstock.ingest.backfill.pieces import Loads
from penstock.ingest.ledger import Ledger
from penstock.ingest.locations import Location
from penstock.ingest.pipeline import Pipeline
from penstock.ingest.plan import Gap, Partition, Positions
from penstock.ingest.verifying import reaching
from penstock.ingest.verifying.buckets import Buckets
from penstock.ingest.verifying.compare import Difference, Fault, Range, Verdict
from penstock.ingest.verifying.counted import Counted
from penstock.ingest.verifying.keyed import Keyed
from penstock.ingest.verifying.placed import Placed, kept_coordinates
from penstock.ingest.verifying.topic import Topic
from penstock.model import tables

__all__ = ["verify"]

_PARTS = 512
_LOOKS = 100
_FAULTS = 20


class Way(Protocol):
    """How rows of one table are put into parts, and two parts compared."""

    @property
    def columns(self) -> pa.Schema:
        """Return the columns that are compared."""

    @property
    def count(self) -> int:
        """Return how many parts there are."""

    def numbers(self, rows: pa.Table) -> pa.Array:
        """Return the part of each row; null for one that is not compared."""

    def without(self, gaps: Sequence[Gap]) -> Way:
        """Return the way where offsets were deleted while the topic was read."""

    def judge(self, number: int, source: pa.Table, table: pa.Table) -> Range:
        """Compare one part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pinned:
    """One state of the table, and what it is made of.

    Attributes:
        begin: the first offset of each partition that is compared.
        end: the offset after the last.
        letters: offsets that are dead letters.
        notes: what is not compared, and why.
        whole: whether the topic still has every record that the table was made of.
        compacted: whether it keeps only the newest record of a key.
    """

    state: fresh.State
    begin: Positions
    end: Positions
    letters: dict[Partition, pa.Array]
    notes: tuple[str, ...]
    whole: bool
    compacted: bool


@dataclass(slots=True)
class _Read:
    """What was found in the topic beside rows."""

    letters: int = 0
    lost: list[Fault] = field(default_factory=list)
    truncated: list[pa.Table] = field(default_factory=list)


def verify(
    topic: Topic,
    place: Location,
    letters_place: Location,
    *,
    range_rows: int = 100_000,
    within_s: float = 120.0,
    progress: Callable[[str], None] = lambda _told: None,
) -> Verdict:
    """Compare every row.

    Args:
        topic: of the table.
        place: of the table.
        letters_place: of its dead letters.
        range_rows: rows of a part, which is what is held in memory of each side; of many more than
            512 parts' rows, the 512th of them.
        within_s: how long the table may take to get as far as the topic is now.
        progress: told what is done.

    Raises:
        NotReady: when a side cannot be read, or the table does not get there in time.
        ConfigError: when the declaration cannot work.
    """
    progress("waiting for the table")
    there = topic.begins()
    reaching.wait_past(
        topic.ends(),
        standing=lambda: {**there, **reaching.standing(topic.table, place)},
        deadline=time.monotonic() + within_s,
        within_s=within_s,
        records=topic.has_records,
    )
    pinned = _pin(topic, place, letters_place)
    pipeline = Pipeline(topic.table)
    way, kept = _way(topic, pinned, pipeline, range_rows=range_rows)
    with tempfile.TemporaryDirectory(prefix="penstock-verify-") as directory:
        source = Buckets(directory=Path(directory) / "topic", schema=kept)
        found = _put_topic_aside(
            topic, pinned, way, pipeline=pipeline, source=source, progress=progress
        )
        way = way.without(topic.gaps)
        if isinstance(way, Keyed):
            way = way.after(pa.concat_tables([kept.empty_table(), *found.truncated]))
        rows = Buckets(directory=Path(directory) / "table", schema=_kept_of_rows(way, pinned))
        for piece in pinned.state.read():
            rows.add(piece, way.numbers(piece))
        ranges = tuple(_judged(way, source, rows, progress))
    return _verdict(ranges, found, outside=rows.left_out, notes=(*pinned.notes, *_told(topic.gaps)))


def _pin(topic: Topic, place: Location, letters_place: Location) -> _Pinned:
    state, version = _at_once(topic.table, place, letters_place)
    end = Ledger(place).standing(state.batch or 0)
    there = topic.begins()
    first = _first_read(topic)
    begin = {p: max(there[p], first.get(p, 0)) for p in end if p in there}
    begin = {p: offset for p, offset in begin.items() if offset < end[p]}
    compacted = topic.compacted()
    notes = [
        f"{p}: offsets {first.get(p, 0)} to {min(there[p], end[p]) - 1} are not in the topic any more"
        for p in sorted(end)
        if p in there and first.get(p, 0) < min(there[p], end[p])
    ]
    notes += [
        f"{p} is not read any more: offsets up to {end[p] - 1}" for p in end if p not in there
    ]
    notes += [f"{s.cluster}/{s.topic} is compacted: older records are gone" for s in compacted]
    loads = Loads(place).names()
    notes += [f"rows were loaded beside the topic: {name}" for name in loads]
    return _Pinned(
        state=state,
        begin=begin,
        end=end,
        letters=_by_partition(letters.origins(letters_place, version=version)),
        notes=tuple(notes),
        whole=not notes,
        compacted=bool(compacted),
    )


def _at_once(
    table: tables.Table, place: Location, letters_place: Location
) -> tuple[fresh.State, int]:
    """Return a state of the table, and the version its dead letters have at that moment."""
    for _ in range(_LOOKS):
        version = letters.newest(letters_place)
        state = fresh.pinned(table, place)
        if state is None:
            raise NotReady(
                f"table {table.ident} has no rows yet: nothing is at {place}. `penstock table "
                "status` tells how far it is."
            )
        if letters.newest(letters_place) == version:
            return state, version
    raise NotReady(f"the dead letters at {letters_place} change all the time. Try again.")


def _first_read(topic: Topic) -> Positions:
    """Return where a table that began with a snapshot began to read."""
    bootstrap = topic.table.bootstrap
    if not (bootstrap.snapshot and bootstrap.taken_at_ms):
        return {}
    if topic.table.mode is not tables.TableMode.APPEND:
        return {}  # older changes are older than the snapshot's rows, and say nothing wrong
    return topic.at_time(max(0, bootstrap.taken_at_ms - bootstrap.margin_ms))


def _by_partition(origins: pa.Table) -> dict[Partition, pa.Array]:
    homes = origins.group_by(["cluster", "topic", "partition"]).aggregate([("offset", "list")])
    return {
        Partition(cluster=row["cluster"], topic=row["topic"], number=row["partition"]): pa.array(
            row["offset_list"], pa.int64()
        )
        for row in homes.to_pylist()
    }


def _way(
    topic: Topic, pinned: _Pinned, pipeline: Pipeline, *, range_rows: int
) -> tuple[Way, pa.Schema]:
    """Return how the table is compared, and the columns that are kept of the topic's side."""
    table, base = topic.table, pinned.state.base
    own = changes.values_of(pipeline.schema)
    columns = pa.schema([f.with_nullable(nullable=True) for f in base.schema if f.name in own])
    records = sum(pinned.end[p] - offset for p, offset in pinned.begin.items())
    parts = min(_PARTS, max(1, -(-max(records, base.rows) // range_rows)))
    if table.mode is not tables.TableMode.APPEND:
        schema = changes.changes_schema(base.schema)
        keyed = Keyed(
            columns=columns,
            folder=folding.Folder(primary_key=table.merge.primary_key, marks=changes.marks(table)),
            truncates=table.merge.truncation is tables.Truncation.APPLY,
            truncated=schema.empty_table(),
            count=parts,
            whole=pinned.whole,
        )
        return keyed, schema
    kept = kept_coordinates(pipeline.copied, columns.names, topic.sources)
    if not kept:
        return Counted(columns=columns, count=parts, whole=pinned.whole), columns
    placed = Placed.of(
        columns,
        kept,
        begin=pinned.begin,
        end=pinned.end,
        range_rows=range_rows,
        whole=not pinned.compacted,
    )
    return placed, columns


def _kept_of_rows(way: Way, pinned: _Pinned) -> pa.Schema:
    """Return the columns that are kept of the table's side: what is compared, and marks."""
    return pinned.state.base.schema if isinstance(way, Keyed) else way.columns


def _put_topic_aside(
    topic: Topic,
    pinned: _Pinned,
    way: Way,
    *,
    pipeline: Pipeline,
    source: Buckets,
    progress: Callable[[str], None],
) -> _Read:
    found = _Read()
    total = sum(pinned.end[p] - offset for p, offset in pinned.begin.items())
    done = 0
    for raw in topic.read(pinned.begin, pinned.end, record_ids=pipeline.record_ids):
        good = _without_letters(raw, pinned.letters)
        found.letters += raw.num_rows - good.num_rows
        made = pipeline.transform(good)
        found.lost += _lost(made.letters, _FAULTS - len(found.lost))
        rows = _fitted(made.rows, source.schema)
        if isinstance(way, Keyed):
            found.truncated.append(folding.truncation(rows))
            rows = way.folder.fold(rows)
        source.add(rows, way.numbers(rows))
        done += raw.num_rows
        progress(f"record {done:,} of {total:,}")
    return found


def _without_letters(raw: pa.Table, known: dict[Partition, pa.Array]) -> pa.Table:
    for partition, offsets in known.items():
        mask = compute.is_in(raw["offset"], value_set=offsets)
        for name, value in (
            ("cluster", partition.cluster),
            ("topic", partition.topic),
            ("partition", partition.number),
        ):
            mask = compute.and_(mask, compute.equal(raw[name], value))
        raw = raw.filter(compute.invert(mask))
    return raw


def _lost(poison: pa.Table, most: int) -> list[Fault]:
    return [
        Fault(key=tuple(str(row[name]) for name in letters.ORIGIN), difference=Difference.LOST)
        for row in poison.slice(0, max(0, most)).select(letters.ORIGIN).to_pylist()
    ]


def _fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows with the table's columns and types."""
    try:
        arrays = [
            rows[f.name].cast(f.type)
            if f.name in rows.column_names
            else pa.nulls(rows.num_rows, f.type)
            for f in schema
        ]
    except pa.ArrowException as error:
        raise NotReady(
            f"the table's columns are not as they are declared: {error}. Let ingest take the "
            "declaration first; see penstock table status."
        ) from error
    return pa.table(arrays, schema=schema)


def _judged(
    way: Way, source: Buckets, rows: Buckets, progress: Callable[[str], None]
) -> Iterator[Range]:
    for number in range(way.count):
        yield way.judge(number, source.read(number), rows.read(number))
        progress(f"range {number + 1} of {way.count}")


def _told(gaps: Sequence[Gap]) -> tuple[str, ...]:
    return tuple(
        f"{gap.partition}: offsets {gap.first} to {gap.end - 1} were deleted while they were read"
        for gap in gaps
    )


def _verdict(
    ranges: tuple[Range, ...], found: _Read, *, outside: int, notes: tuple[str, ...]
) -> Verdict:
    faults = [*found.lost, *(fault for each in ranges for fault in each.faults)]
    return Verdict(
        equal=not found.lost and all(each.equal for each in ranges),
        rows=sum(each.source_rows for each in ranges),
        ranges=ranges,
        moving=0,
        rounds=1,
        faults=tuple(faults),
        source="topic",
        letters=found.letters,
        unjudged=outside + sum(each.unjudged for each in ranges),
        notes=notes,
    )
