"""Good values from bad ones: a decoder reads all or none, so parts are tried until all is told.

    values ─tombstones, refused─▶ out
       └─decode─▶ rows                                   nearly always the whole batch at once
            └─DataError─▶ told which? those out, suspects alone, the rest again
                        ─▶ not told?  halve it

Guarantee: row i of the columns is value ``kept[i]`` and no other, in the order of the values; each
value is a row or poison, never both, never neither. Any other error than DataError goes through:
nothing is decided about the batch then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from penstock.errors import DataError
from penstock.ingest.decoders.protocol import Decoder, Unreadable

__all__ = ["Decoded", "Poison", "decode"]

_TOMBSTONE = "no value: a tombstone has no row in this table"
_PIECES = 16
"""A large part is cut into so many at once: with much poison in it, two halves are both bad."""
_LARGE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A record that cannot be a row: its index among the values, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What became of the values: ``kept`` are the indexes behind the rows of ``columns``, int64."""

    columns: pa.Table
    kept: pa.Array
    poison: tuple[Poison, ...]


def decode(values: pa.Array, decoder: Decoder, *, refused: Mapping[int, str]) -> Decoded:
    """Decode the values, and find every one that cannot be.

    Args:
        values: `pa.binary`, as Kafka has them; null is a tombstone.
        decoder: what reads them.
        refused: reasons by index of the records that are known to be poison already.

    Raises:
        NotReady: when something the decoder needs does not answer; no value was decided about.
        ConfigError: when the decoder cannot work as it is declared.
    """
    reasons = dict(refused)
    present = _present(values, reasons)
    if len(present) == len(values):
        try:
            return Decoded(columns=decoder.decode(values), kept=present, poison=())
        except DataError as error:
            waiting = list(_cuts(present, error, reasons))
    else:
        waiting = [present]
    pieces, kept = [decoder.schema.empty_table()], [present[:0]]
    while waiting:
        part = waiting.pop()
        try:
            pieces.append(decoder.decode(values.take(part)))
            kept.append(part)
        except DataError as error:
            waiting += _cuts(part, error, reasons)
    columns, indexes = _in_order(pa.concat_tables(pieces), pa.concat_arrays(kept))
    return Decoded(
        columns=columns,
        kept=indexes,
        poison=tuple(Poison(index=index, reason=reasons[index]) for index in sorted(reasons)),
    )


def _in_order(columns: pa.Table, indexes: pa.Array) -> tuple[pa.Table, pa.Array]:
    """Return the rows in the order of the values: suspects were tried after their neighbours."""
    order = compute.sort_indices(indexes)
    return columns.take(order).combine_chunks(), indexes.take(order)


def _present(values: pa.Array, reasons: dict[int, str]) -> pa.Array:
    """Return the indexes of what there is to decode; tell the reasons of the others."""
    every = pa.arange(0, len(values))
    if values.null_count:
        for index in every.filter(values.is_null()).to_pylist():
            reasons.setdefault(index, _TOMBSTONE)
    if not reasons:
        return every
    return _without(every, list(reasons))


def _cuts(part: pa.Array, error: DataError, reasons: dict[int, str]) -> Iterator[pa.Array]:
    """Give what is left to try of a part that failed, the last piece first; tell what is known."""
    told = error.reasons if isinstance(error, Unreadable) else {}
    suspects = error.suspects if isinstance(error, Unreadable) else ()
    reasons |= {part[index].as_py(): reason for index, reason in told.items()}
    out = [part[index].as_py() for index in {*told, *suspects} if index < len(part)]
    if len(part) == 1:
        reasons.setdefault(part[0].as_py(), error.message)
    elif out and (told or len(out) < len(part)):
        tried = part.take(pa.array([i for i in suspects if i < len(part)], pa.int64()))
        yield from _pieces(tried, 1 if len(tried) <= _LARGE else -(-len(tried) // _PIECES))
        if len(out) < len(part):
            yield _without(part, out)
    else:
        yield from _pieces(part, -(-len(part) // (_PIECES if len(part) > _LARGE else 2)))


def _pieces(part: pa.Array, size: int) -> Iterator[pa.Array]:
    return (part[begin : begin + size] for begin in reversed(range(0, len(part), size)))


def _without(indexes: pa.Array, out: list[int]) -> pa.Array:
    return indexes.filter(compute.invert(compute.is_in(indexes, pa.array(out, pa.int64()))))
