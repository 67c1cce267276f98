"""Rows that changed their key: what the source did not tell of them stands under the former key.

    a change with a former key and absent columns + the history of that key ─fill─▶ the whole row

A database tells a change of the key as a delete of the old and an insert of the new, and leaves out
a large text that did not change. `fill` folds what is known of the former key up to that moment and
takes the columns from there. Pure; whoever calls it finds the history.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa
from pyarrow import compute

from penstock.ingest import changes
from penstock.ingest.changes import ABSENT, FORMER, OPERATION, SEQUENCE, TIME, Operation
from penstock.ingest.folding import Folder

__all__ = ["before", "fill", "former_keys", "gone_keys"]

_MOVED = "\0moved"
_BEFORE_SEQUENCE = "\0before_sequence"
_BEFORE_TIME = "\0before_time"


def former_keys(rows: pa.Table, primary_key: Sequence[str]) -> pa.Table:
    """Return the former keys of the changes that need them, and each one's index in ``rows``."""
    needed = compute.and_(compute.is_valid(rows[FORMER]), compute.is_valid(rows[ABSENT]))
    if not compute.any(needed).as_py():
        return rows.select(primary_key).slice(0, 0).append_column(_MOVED, pa.array([], pa.int64()))
    indexes = compute.indices_nonzero(needed).cast(pa.int64())
    keys = [orjson.loads(text) for text in rows[FORMER].take(indexes).to_pylist()]
    columns = {
        name: changes.from_text([key[i] for key in keys], rows.schema.field(name).type)
        for i, name in enumerate(primary_key)
    }
    return pa.table({**columns, _MOVED: indexes})


def gone_keys(rows: pa.Table, primary_key: Sequence[str]) -> pa.Table:
    """Return the keys of the deletes whose row goes on under another key, and each one's index."""
    deleted = compute.equal(rows[OPERATION], Operation.DELETE.value)
    indexes = compute.indices_nonzero(compute.and_(compute.is_valid(rows[FORMER]), deleted))
    indexes = indexes.cast(pa.int64())
    return rows.select(primary_key).take(indexes).append_column(_MOVED, indexes)


def fill(rows: pa.Table, history: pa.Table, *, folder: Folder) -> pa.Table:
    """Return the changes, those that moved filled from their former key where it is known.

    Args:
        rows: changes of a batch.
        history: what is known of the former keys besides, as changes.
        folder: of the table.
    """
    for indexes in _rounds(rows, former_keys(rows, folder.primary_key), folder):
        moved = former_keys(rows, folder.primary_key)
        moved = moved.filter(compute.is_in(moved[_MOVED], value_set=pa.array(indexes, pa.int64())))
        rows = _filled(rows, before(rows, moved, history, folder))
    return rows


def _rounds(rows: pa.Table, moved: pa.Table, folder: Folder) -> list[list[int]]:
    """Return the indexes of the moved rows, those first that no other one has to come before."""
    formers = list(zip(*(moved[name].to_pylist() for name in folder.primary_key), strict=True))
    indexes = moved[_MOVED].to_pylist()
    own = rows.select([*folder.primary_key, SEQUENCE, TIME]).take(moved[_MOVED]).to_pylist()
    order = sorted(range(len(indexes)), key=lambda n: _before(own[n]))
    turn: dict[tuple[object, ...], int] = {}
    rounds: dict[int, list[int]] = {}
    for n in order:
        this = turn.get(formers[n], -1) + 1
        turn[tuple(own[n][name] for name in folder.primary_key)] = this
        rounds.setdefault(this, []).append(indexes[n])
    return [rounds[turn] for turn in sorted(rounds)]


def _before(row: dict[str, object]) -> tuple[bool, object, object]:
    sequence = row[SEQUENCE]
    return (sequence is not None, sequence if sequence is not None else 0, row[TIME])


def before(rows: pa.Table, moved: pa.Table, history: pa.Table, folder: Folder) -> pa.Table:
    """Return for each moved row what its former key had come to before it moved.

    Args:
        rows: changes of a batch.
        moved: keys and indexes, as `former_keys` and `gone_keys` give them.
        history: what is known of the keys besides, as changes.
        folder: of the table.
    """
    marks = rows.select([SEQUENCE, TIME]).take(moved[_MOVED])
    asked = moved.append_column(_BEFORE_SEQUENCE, marks[SEQUENCE])
    asked = asked.append_column(_BEFORE_TIME, marks[TIME])
    known = pa.concat_tables([history, rows.filter(compute.is_valid(rows[OPERATION]))])
    keys = known.select(folder.primary_key).append_column("\0row", pa.arange(0, known.num_rows))
    pairs = asked.join(keys, keys=list(folder.primary_key), join_type="inner", use_threads=False)
    found = known.take(pairs["\0row"])
    earlier = _earlier(found, pairs)
    found = found.append_column(_MOVED, pairs[_MOVED]).filter(earlier)
    return Folder(primary_key=(_MOVED,), marks=folder.marks).fold(found)


def _earlier(found: pa.Table, pairs: pa.Table) -> pa.ChunkedArray:
    """Return a mask of the changes that are older than the move; the move's own delete is not."""
    sequence, before = found[SEQUENCE], pairs[_BEFORE_SEQUENCE]
    sooner = compute.less(found[TIME], pairs[_BEFORE_TIME])
    # Without both sequences the time tells; a null is the oldest mark.
    by_sequence = compute.if_else(
        compute.equal(sequence, before), sooner, compute.less(sequence, before)
    )
    untold = compute.if_else(compute.is_valid(before), pa.scalar(value=True), sooner)
    known = compute.and_(compute.is_valid(sequence), compute.is_valid(before))
    mask = compute.if_else(known, by_sequence, compute.and_(compute.is_null(sequence), untold))
    return compute.fill_null(mask, fill_value=False)


def _filled(rows: pa.Table, states: pa.Table) -> pa.Table:
    states = states.filter(compute.not_equal(states[OPERATION], Operation.DELETE.value))
    at = dict(zip(states[_MOVED].to_pylist(), range(states.num_rows), strict=True))
    absent = rows[ABSENT].to_pylist()
    unknown = states[ABSENT].to_pylist()
    told: dict[str, dict[int, int]] = {}
    for index, state in at.items():
        for name in absent[index] or ():
            if name not in (unknown[state] or ()):
                told.setdefault(name, {})[index] = state
    for name, found in told.items():
        rows = _with_values(rows, name, states[name], found)
        for index in found:
            absent[index] = [n for n in absent[index] if n != name] or None
    field = rows.schema.field(ABSENT)
    return rows.set_column(rows.schema.get_field_index(ABSENT), field, pa.array(absent, field.type))


def _with_values(
    rows: pa.Table, name: str, values: pa.ChunkedArray, found: dict[int, int]
) -> pa.Table:
    """Return the rows with the column's values replaced at the indexes given."""
    both = pa.chunked_array([*rows[name].chunks, *values.chunks], type=rows.schema.field(name).type)
    sources = list(range(rows.num_rows))
    for index, state in found.items():
        sources[index] = rows.num_rows + state
    taken = both.take(pa.array(sources, pa.int64()))
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), taken)
