"""Many changes of many keys to one change a key, the one they come to.

    changes ─unfold (columns older than their row)─▶ parts ─sort by their marks─▶ group by key
      ─▶ the newest change of each key, each column it does not tell taken from the newest that does

`fold` is associative, commutative and idempotent: in whatever order and in whatever batches the
changes of a key come, with whatever repeats, folding them ends at the same row. So rows of a table,
entries of its change log and deletes that are remembered are folded in as changes themselves.
A delete tells every column: they are null from there on. Never reads or writes a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes
from penstock.ingest.changes import ABSENT, BEHIND, OPERATION, Operation

__all__ = ["Folder", "after", "truncation"]

_POSITION = "\0position"
_DELETED = "\0deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """How the changes of one table are folded.

    Attributes:
        primary_key: columns that name a row.
        marks: columns that order two changes of a key, as `changes.marks` gives them.
    """

    primary_key: tuple[str, ...]
    marks: tuple[str, ...]

    def fold(self, rows: pa.Table) -> pa.Table:
        """Return one change a key, ordered by key; truncations are left out.

        Args:
            rows: changes with the control columns; those without an operation are not this
                table's, and left out.
        """
        known = compute.is_in(
            rows[OPERATION],
            value_set=pa.array([Operation.INSERT, Operation.UPDATE, Operation.DELETE]),
        )
        parts = self._sorted(self._unfolded(rows.filter(known)))
        partial = self._partial(parts)
        winners = self._winners(parts, partial)
        folded = parts.take(winners[_POSITION])
        if partial:
            folded = self._carried(parts, folded, winners, partial)
        order = [(name, "ascending") for name in self.primary_key]
        return folded.take(compute.sort_indices(folded.select(self.primary_key), sort_keys=order))

    def _sorted(self, rows: pa.Table) -> pa.Table:
        keys = [(name, "ascending", "at_start") for name in self.marks]
        return rows.take(compute.sort_indices(rows.select(self.marks), sort_keys=keys))

    def _unfolded(self, rows: pa.Table) -> pa.Table:
        """Give each column that is older than its row a part of its own, with its own marks."""
        old = compute.is_valid(rows[BEHIND])
        if not compute.any(old).as_py():
            return rows
        entries = [orjson.loads(text) if text else {} for text in rows[BEHIND].to_pylist()]
        whole = _replaced(
            rows,
            {
                BEHIND: pa.nulls(rows.num_rows, pa.string()),
                ABSENT: [
                    [*(absent or ()), *entry] or None
                    for absent, entry in zip(rows[ABSENT].to_pylist(), entries, strict=True)
                ],
            },
        )
        parts = [
            self._part(rows, [n for n, entry in enumerate(entries) if name in entry], name, entries)
            for name in sorted({name for entry in entries for name in entry})
        ]
        return pa.concat_tables([*parts, whole])

    def _part(
        self,
        rows: pa.Table,
        indexes: Sequence[int],
        name: str,
        entries: Sequence[dict[str, list[str | None]]],
    ) -> pa.Table:
        others = [n for n in changes.values_of(rows.schema) if n not in (*self.primary_key, name)]
        stamps = [entries[index][name] for index in indexes]
        # Only the newest part of a column is older than its row, so no part is a delete.
        return _replaced(
            rows.take(pa.array(indexes, pa.int64())),
            {
                **{
                    mark: changes.from_text([s[i] for s in stamps], rows.schema.field(mark).type)
                    for i, mark in enumerate(self.marks)
                },
                OPERATION: [Operation.UPDATE.value] * len(indexes),
                BEHIND: pa.nulls(len(indexes), pa.string()),
                ABSENT: [others] * len(indexes),
            },
        )

    def _partial(self, parts: pa.Table) -> list[str]:
        """Return the columns that some change says nothing of."""
        named = set(compute.unique(compute.list_flatten(parts[ABSENT])).to_pylist())
        own = changes.values_of(parts.schema)
        return [name for name in own if name in named and name not in self.primary_key]

    def _winners(self, parts: pa.Table, partial: Sequence[str]) -> pa.Table:
        """Return by key the position of its newest change, its newest delete, and each column's."""
        positions = _positions(parts.num_rows)
        columns = {name: parts[name] for name in self.primary_key}
        columns[_POSITION] = positions
        if partial:
            deleted = compute.equal(parts[OPERATION], Operation.DELETE.value)
            columns[_DELETED] = compute.if_else(deleted, positions, None)
        for name in partial:
            silent = compute.is_in(positions, value_set=_rows_that_name(parts[ABSENT], name))
            columns[_column(name)] = compute.if_else(silent, None, positions)
        sought = [name for name in columns if name not in self.primary_key]
        found = (
            pa.table(columns)
            .group_by(list(self.primary_key), use_threads=False)
            .aggregate([(name, "max") for name in sought])
        )
        return pa.table({name: found[f"{name}_max"] for name in sought})

    def _carried(
        self, parts: pa.Table, folded: pa.Table, winners: pa.Table, partial: Sequence[str]
    ) -> pa.Table:
        """Fill what the newest change of a key does not tell from the newest one that does."""
        replaced: dict[str, pa.Array | pa.ChunkedArray] = {}
        tellers: dict[str, pa.Array | pa.ChunkedArray] = {}
        for name in partial:
            told_by = winners[_column(name)]
            # Nulls are skipped: no delete, or nobody who told of the column.
            tellers[name] = compute.max_element_wise(told_by, winners[_DELETED])
            replaced[name] = parts[name].take(tellers[name])
        absent, behind = self._told(parts, winners[_POSITION], tellers)
        return _replaced(folded, {**replaced, ABSENT: absent, BEHIND: behind})

    def _told(
        self,
        parts: pa.Table,
        newest: pa.ChunkedArray,
        tellers: dict[str, pa.Array | pa.ChunkedArray],
    ) -> tuple[list[list[str] | None], list[str | None]]:
        """Return by key the columns nobody has told of, and the marks of those told of earlier."""
        count = len(newest)
        absent: list[list[str] | None] = [None] * count
        old: list[dict[str, list[str | None]]] = [{} for _ in range(count)]
        for name, teller in tellers.items():
            for index in _indexes(compute.is_null(teller)):
                absent[index] = [*(absent[index] or ()), name]
            earlier = _indexes(compute.less(teller, newest))
            stamps = parts.select(self.marks).take(teller.take(pa.array(earlier, pa.int64())))
            texts = [changes.to_text(stamps[mark]) for mark in self.marks]
            for index, stamp in zip(earlier, zip(*texts, strict=True), strict=True):
                old[index][name] = list(stamp)
        return absent, [orjson.dumps(entry).decode() if entry else None for entry in old]


def truncation(rows: pa.Table) -> pa.Table:
    """Return the newest truncation among the changes; no row when there is none."""
    found = rows.filter(compute.equal(rows[OPERATION], Operation.TRUNCATE.value))
    order = [(changes.SEQUENCE, "ascending", "at_start"), (changes.TIME, "ascending", "at_start")]
    newest_last = compute.sort_indices(found.select([name for name, *_ in order]), sort_keys=order)
    return found.take(newest_last[-1:])


def after(rows: pa.Table, truncated: pa.Table) -> pa.Table:
    """Return the changes that are not older than the truncation, which no row is given for."""
    if not truncated.num_rows:
        return rows
    sequence, time = truncated[changes.SEQUENCE][0], truncated[changes.TIME][0]
    no_sequence = compute.is_null(rows[changes.SEQUENCE])
    not_before = compute.greater_equal(rows[changes.TIME], time)
    if not sequence.is_valid:
        return rows.filter(compute.or_(compute.invert(no_sequence), not_before))
    later = compute.greater(rows[changes.SEQUENCE], sequence)
    same = compute.and_(compute.equal(rows[changes.SEQUENCE], sequence), not_before)
    return rows.filter(compute.fill_null(compute.or_(later, same), fill_value=False))


def _positions(count: int) -> pa.Array:
    return compute.subtract(compute.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count)), 1)


def _column(name: str) -> str:
    return f"\0{name}"


def _rows_that_name(absent: pa.ChunkedArray, name: str) -> pa.Array:
    whole = absent.combine_chunks()
    named = compute.equal(compute.list_flatten(whole), name)
    return compute.list_parent_indices(whole).filter(named).cast(pa.int64())


def _indexes(mask: pa.Array | pa.ChunkedArray) -> list[int]:
    whole = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    found: list[int] = compute.indices_nonzero(
        compute.fill_null(whole, fill_value=False)
    ).to_pylist()
    return found


def _replaced(rows: pa.Table, columns: dict[str, object]) -> pa.Table:
    for name, values in columns.items():
        field = rows.schema.field(name)
        array = (
            values
            if isinstance(values, (pa.Array, pa.ChunkedArray))
            else pa.array(values, field.type)
        )
        rows = rows.set_column(rows.schema.get_field_index(name), field, array)
    return rows
