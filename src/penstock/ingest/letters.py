"""Dead letters: records that are no rows, with why and where from; and gaps, told in the same way.

    poison + RAW ─of_records─▶ FOUND ─┐
    gaps ─────────of_gaps────▶ FOUND ─┴─DeadLetters.write(N)─▶ <table>_dead_letters, txn N

Guarantee: the letters of a batch are in the table once, however often the batch is run: its number
is in the letters' own log. They are written before the batch's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from penstock.errors import Conflict
from penstock.ingest import delta, ledger
from penstock.ingest.locations import Location, locate
from penstock.ingest.plan import Gap
from penstock.ingest.records import RAW
from penstock.model import tables

__all__ = [
    "FOUND",
    "LETTERS",
    "ORIGIN",
    "DeadLetters",
    "event_times",
    "location",
    "newest",
    "of_gaps",
    "of_records",
    "origins",
    "replayed",
    "slices",
]

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_MS_TO_US = 1_000
_PIECE_BYTES = 16 * 2**20

FOUND = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("event_time", _TIMESTAMP),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("record_id", pa.string()),
    ]
)
"""Columns of letters as the pipeline finds them."""

LETTERS = FOUND.append(pa.field("found_at", _TIMESTAMP, nullable=False))
"""Columns of a dead-letter table."""


def of_records(raw: pa.Table, reasons: Sequence[str]) -> pa.Table:
    """Return a letter for each record, with its reason.

    Args:
        raw: the records, as `records.RAW`.
        reasons: one a record.
    """
    return pa.Table.from_arrays(
        [
            pa.array(reasons, pa.string()),
            *(raw[name] for name in ("cluster", "topic", "partition", "offset")),
            event_times(raw),
            *(raw[name] for name in ("key", "value", "record_id")),
        ],
        schema=FOUND,
    )


def event_times(raw: pa.Table) -> pa.ChunkedArray:
    """Return Kafka's timestamps of the records as a table has them."""
    return compute.multiply(raw["timestamp_ms"], pa.scalar(_MS_TO_US, pa.int64())).cast(_TIMESTAMP)


_WHY = {
    False: "were deleted on the cluster before they were read",
    True: "were given up: what holds them is not declared any more",
}


def of_gaps(gaps: Sequence[Gap]) -> pa.Table:
    """Return a letter for each gap, at its first offset."""
    return pa.Table.from_pylist(
        [
            {
                "reason": f"{gap.records} offsets from here {_WHY[gap.given_up]}",
                "cluster": gap.partition.cluster,
                "topic": gap.partition.topic,
                "partition": gap.partition.number,
                "offset": gap.first,
            }
            for gap in gaps
        ],
        schema=FOUND,
    )


def location(table: tables.Table, place: Location, *, lake: Path | str) -> Location:
    """Return where the table's dead letters are.

    Args:
        table: the declaration.
        place: of the table itself.
        lake: what a declared path is below.
    """
    if table.dead_letters.path:
        return locate(table.dead_letters.path, lake=lake)
    return place.sibling("_dead_letters")


class DeadLetters:
    """The dead-letter table of one table; made with its first letter."""

    def __init__(
        self, table: tables.Table, place: Location, *, clock: Callable[[], datetime]
    ) -> None:
        """Take where it is; nothing is opened yet.

        Args:
            table: whose letters they are.
            place: of the letters.
            clock: gives the time at which they are found.
        """
        self.place = place
        self._app_id = ledger.app_id(table)
        self._clock = clock
        self._lake: delta.LakeTable | None = None

    def write(self, number: int, found: pa.Table, *, late: bool = False) -> None:
        """Add a batch's letters, unless they are there already.

        Args:
            number: of the batch.
            found: as `FOUND`.
            late: whether these were found only when the batch was run again, beside the others.

        Raises:
            Conflict: when another process has written letters at the same moment.
            NotReady: when the storage fails; whether they are there is not known.
        """
        if not found.num_rows:
            return
        # A table of before may lack a column.
        lake = self._lake or delta.open_table(self.place, LETTERS, policy=tables.Evolution.ADD)
        self._lake = lake
        app_id = f"{self._app_id}/late" if late else self._app_id
        if lake.last(app_id) >= number:
            return
        at = pa.repeat(pa.scalar(self._clock(), _TIMESTAMP), found.num_rows)
        rows = found.append_column(LETTERS.field("found_at"), at)
        try:
            lake.append(rows.select(lake.schema.names), app_id=app_id, number=number)
        except Conflict:
            self._lake = None
            raise

    def tidy(self) -> None:
        """Join small files of letters, if there are any.

        Raises:
            NotReady: when the storage fails.
        """
        if self._lake is not None:
            self._lake.tidy()

    def remove(self, replayed: pa.Table) -> None:
        """Take letters away that have become rows; those that are not there are fine.

        Args:
            replayed: their ``cluster``, ``topic``, ``partition`` and ``offset``.

        Raises:
            Conflict: when another process has written letters at the same moment.
            NotReady: when the storage fails; ask again.
        """
        self._lake = None
        lake = delta.read_table(self.place)
        if lake is not None and replayed.num_rows:
            lake.remove(replayed.select(ORIGIN), keys=ORIGIN)


ORIGIN = ["cluster", "topic", "partition", "offset"]
"""What names a record."""


def newest(place: Location) -> int:
    """Return the version of the letters' table, -1 for none."""
    lake = delta.read_table(place)
    return -1 if lake is None else lake.version


def origins(place: Location, *, version: int) -> pa.Table:
    """Return the ``ORIGIN`` of every letter that is a record.

    Args:
        place: of the letters.
        version: of their table, -1 for none.

    Raises:
        NotReady: when the storage fails, or the version is not kept any more.
    """
    empty = pa.schema([FOUND.field(name) for name in ORIGIN]).empty_table()
    lake = delta.read_table(place, version=version) if version >= 0 else None
    if lake is None:
        return empty
    with delta.translated(place):
        # A gap has no time.
        found = lake.table.scan(columns=[*ORIGIN, "event_time"], predicate="event_time IS NOT NULL")
        return pa.RecordBatchReader.from_stream(found).read_all().select(ORIGIN).cast(empty.schema)


def slices(
    place: Location, *, rows: int, size_bytes: int
) -> Iterator[tuple[tuple[int, int, int], pa.Table]]:
    """Yield the letters that are records, slice by slice, each with what names it for `replayed`.

    Letters that come or go meanwhile change nothing: it is one version of their table.

    Args:
        place: of the letters.
        rows: of a slice at most.
        size_bytes: of a slice, about; so much is held in memory.

    Raises:
        NotReady: when the storage fails.
    """
    lake = delta.read_table(place)
    if lake is None:
        return
    first = count = size = 0
    held: list[pa.Table] = []
    for piece in lake.in_order(rows=rows, size_bytes=size_bytes):
        if held and (count + piece.num_rows > rows or size + piece.nbytes > size_bytes):
            yield (lake.version, first, first + count), _records(held)
            first, count, size, held = first + count, 0, 0, []
        held.append(piece)
        count, size = count + piece.num_rows, size + piece.nbytes
    if held:
        yield (lake.version, first, first + count), _records(held)


def replayed(place: Location, which: tuple[int, int, int]) -> pa.Table:
    """Return the records of a replay's plan.

    Args:
        place: of the letters.
        which: the version of their table, the first letter and the one after the last.

    Raises:
        NotReady: when the storage fails, or the version is not kept any more.
    """
    version, first, end = which
    lake = delta.read_table(place, version=version)
    held: list[pa.Table] = []
    left = end - first
    if lake is not None and left:
        for piece in lake.in_order(first, rows=left, size_bytes=_PIECE_BYTES):
            held.append(piece.slice(0, left))
            left -= held[-1].num_rows
            if not left:
                break
    return _records(held)


def _records(pieces: Sequence[pa.Table]) -> pa.Table:
    """Return the letters that are records, in the order of their origin."""
    if not pieces:
        return RAW.empty_table()
    found = pa.concat_tables(pieces)
    found = found.filter(found["event_time"].is_valid())  # a gap has none
    ms = compute.divide(found["event_time"].cast(pa.int64()), pa.scalar(_MS_TO_US, pa.int64()))
    known = {name: found[name] for name in RAW.names if name in found.column_names}
    known["timestamp_ms"] = ms
    nothing = pa.nulls(found.num_rows, pa.string())
    raw = pa.Table.from_arrays([known.get(field.name, nothing) for field in RAW], schema=RAW)
    return raw.sort_by([(name, "ascending") for name in ORIGIN])
