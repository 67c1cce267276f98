"""One commit of one table: the only effects of ingest.

    Batch ─decode─▶ rows, letters ─1─▶ dead letters + their own positions   (only where there are any)
                                  ─2─▶ rows + positions

Guarantee: after a kill at any point, the same records read again, cut into any batches, make each
record one row or one dead letter. The letters go first, under positions of the dead-letter table's
own: when the second commit did not come, the next try finds them told already and leaves them out.
(This holds while the declaration stays the same between the two; a record that a changed
declaration can read is then a row as well as a letter, never neither.) Poison above the set share
stops the table before anything of the batch is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from penstock.errors import DataError
from penstock.ingest import decoders, delta, plan, rows
from penstock.ingest.plan import Gap, Partition, Tally
from penstock.ingest.records import Records
from penstock.model import tables

__all__ = ["Batch", "Target"]


@dataclass(slots=True, kw_only=True)
class Batch:
    """Records gathered for one commit.

    Attributes:
        begin: where each partition stood before the batch.
        end: where each stands after it.
    """

    begin: plan.Positions
    end: dict[Partition, int] = field(init=False)
    records: list[Records] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    count: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        """Begin where the table stands."""
        self.end = dict(self.begin)

    def add(self, read: Records) -> None:
        """Add the records that are not in the batch or the table yet."""
        fresh, self.end = plan.take(
            self.end, read.source, partitions=read.partitions, offsets=read.offsets
        )
        if fresh:
            new = read.select(fresh)
            self.records.append(new)
            self.count += len(new)
            self.size_bytes += new.size_bytes

    def skip(self, gap: Gap) -> None:
        """Add a gap, to be told in the dead letters."""
        self.gaps.append(gap)
        self.end[gap.partition] = gap.end
        self.count += 1

    @property
    def moved(self) -> dict[Partition, tuple[int, int]]:
        """Return where each partition that moved stood, and stands."""
        return {
            partition: (self.begin.get(partition, 0), after)
            for partition, after in self.end.items()
            if after > self.begin.get(partition, 0)
        }


class Target:
    """A declared table in the lake, with its dead letters.

    Attributes:
        table: the declaration.
        lake: the Delta table.
    """

    def __init__(
        self, table: tables.Table, *, lake: Path, tally: Tally, clock: Callable[[], datetime]
    ) -> None:
        """Open the table below ``lake``, and make it when there is none.

        Raises:
            Refused: when what is there is not what is declared.
            ConfigError: when a derived column is not known.
            NotReady: when the storage fails.
        """
        self.table = table
        self._schema = rows.schema(table)
        self.lake = delta.open_table(
            lake / table.path, self._schema, partition_by=table.partition_by
        )
        self._letters: delta.LakeTable | None = None
        self._tally = tally
        self._clock = clock

    def position(self, partition: Partition) -> int:
        """Return the next offset to read."""
        return self.lake.position(plan.app_id(self.table, partition))

    def commit(self, batch: Batch) -> None:
        """Make the batch's records rows or dead letters.

        Raises:
            DataError: when too much is poison; nothing of the batch was written.
            Conflict: when another process has moved the table on.
            NotReady: when the storage failed; open the table again, then read from its positions.
        """
        pieces: list[pa.Table] = [self._schema.empty_table()]
        found = [_gap_letter(gap) for gap in batch.gaps]
        for records in batch.records:
            piece, poison = self._decode(records)
            pieces.append(piece)
            found += poison
        tally = self._tally.add(records=batch.count, poison=len(found) - len(batch.gaps))
        if tally.spoiled:
            raise _spoiled(self.table, tally, found)
        moves = {plan.app_id(self.table, p): move for p, move in batch.moved.items()}
        if found:
            self._tell(found, batch)
        # Delta writes the chunks of a table side by side; one chunk keeps the offsets in order.
        self.lake.append(pa.concat_tables(pieces).combine_chunks(), moves)
        self._tally = tally

    def _decode(self, records: Records) -> tuple[pa.Table, list[rows.Letter]]:
        decoded = decoders.decode(
            records.values,
            self.table.columns,
            decoder=decoders.decoder_of(self.table.decoder),
            refused=rows.refuse(self.table, records),
        )
        piece = rows.rows(self.table, decoded.columns, records.select(decoded.kept))
        return piece, [_letter(records, poison) for poison in decoded.poison]

    def _tell(self, found: Sequence[rows.Letter], batch: Batch) -> None:
        if self._letters is None:
            self._letters = delta.open_table(delta.letters_path(self.lake.path), rows.LETTERS)
        moves = {}
        new = []
        told = {
            partition: self._letters.position(plan.app_id(self.table, partition))
            for partition in {letter.partition for letter in found}
        }
        for letter in found:
            if letter.offset >= told[letter.partition]:
                new.append(letter)
                moves[plan.app_id(self.table, letter.partition)] = (
                    told[letter.partition],
                    batch.end[letter.partition],
                )
        if new:
            self._letters.append(rows.letters(new, at=self._clock()), moves)


def _letter(records: Records, poison: decoders.Poison) -> rows.Letter:
    index = poison.index
    return rows.Letter(
        reason=poison.reason,
        partition=records.source.partition(records.partitions[index]),
        offset=records.offsets[index],
        timestamp_ms=records.timestamps_ms[index],
        key=records.keys[index],
        value=records.values[index],
    )


def _gap_letter(gap: Gap) -> rows.Letter:
    return rows.Letter(
        reason=f"{gap.records} offsets from here were deleted on the cluster before they were read",
        partition=gap.partition,
        offset=gap.first,
    )


def _spoiled(table: tables.Table, tally: Tally, found: Sequence[rows.Letter]) -> DataError:
    example = found[-1]
    return DataError(
        f"table {table.ident} stopped: {tally.poison} of the latest {tally.records} records cannot "
        f"be read by its declaration, e.g. {example.reason}. Correct the table's columns or the "
        "producer; the table goes on where it stopped when it is declared anew or ingest restarts.",
        origin=f"{example.partition}/{example.offset}",
    )
