"""Confluent's wire format: which schema each value names, and what comes after.

    00 · id, 4 bytes · [message indexes] · payload ─split─▶ Group(id, indexes): payloads, whose
       └─ not so ─▶ reason                                            │
                                       rows in the values' order ◀─gather─┘

Nearly always a batch is one group; then nothing is looked at value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from penstock.errors import DataError
from penstock.ingest.decoders.protocol import Unreadable

__all__ = ["Group", "gather", "split"]

_ID_END = 5
_MOST_INDEX_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Values of one schema and message.

    Attributes:
        schema_id: the registry's.
        message: indexes of a protobuf message in its file, from the outside in.
        where: indexes of the values, int64.
        payloads: what follows the frame.
    """

    schema_id: int
    message: tuple[int, ...]
    where: pa.Array
    payloads: pa.Array


def split(values: pa.Array, *, with_message: bool) -> tuple[list[Group], dict[int, str]]:
    """Return the values by what they name, and the reasons of those that name nothing.

    Args:
        values: `pa.binary` without nulls.
        with_message: whether message indexes follow the id, as they do for protobuf.
    """
    head_bytes = _ID_END + 1 if with_message else _ID_END
    heads = compute.binary_slice(values, 0, head_bytes)
    groups: list[Group] = []
    reasons: dict[int, str] = {}
    for head, where in _by_value(heads):
        if (reason := _reason(head, head_bytes)) is not None:
            reasons |= dict.fromkeys(where.to_pylist(), reason)
        elif not with_message or head[-1] == 0:
            groups.append(_group(values, where, _id(head), (0,) if with_message else (), len(head)))
        else:
            found, wrong = _by_message(values, where, _id(head))
            groups += found
            reasons |= wrong
    return groups, reasons


def gather(
    groups: list[Group],
    reasons: dict[int, str],
    read: Callable[[Group], pa.Table],
) -> pa.Table:
    """Return the rows of all groups in the order of the values.

    Raises:
        Unreadable: with all that is known of every group.
        PenstockError: as ``read``, where it is no `DataError`.
    """
    tables, suspects, message = [], [], ""
    for group in groups:
        try:
            tables.append(read(group))
        except Unreadable as error:
            where = group.where
            reasons |= {where[index].as_py(): reason for index, reason in error.reasons.items()}
            suspects += [where[index].as_py() for index in error.suspects]
            message = error.message
            if not error.reasons and not error.suspects:
                suspects += where.to_pylist()
        except DataError as error:
            reasons |= dict.fromkeys(group.where.to_pylist(), error.message)
    if reasons or suspects:
        raise Unreadable(message, reasons=reasons, suspects=suspects)
    if len(tables) == 1:
        return tables[0]
    order = compute.sort_indices(pa.concat_arrays([group.where for group in groups]))
    return pa.concat_tables(tables).take(order).combine_chunks()


def _by_value(heads: pa.Array) -> Iterator[tuple[bytes, pa.Array]]:
    encoded = heads.dictionary_encode()
    every = pa.arange(0, len(heads))
    if len(encoded.dictionary) == 1:
        yield encoded.dictionary[0].as_py(), every
        return
    for code, head in enumerate(encoded.dictionary.to_pylist()):
        yield head, every.filter(compute.equal(encoded.indices, code))


def _reason(head: bytes, head_bytes: int) -> str | None:
    if not head:
        return "an empty value: it names no schema"
    if head[0] != 0:
        return f"it begins with byte {head[0]:#04x}, not with 0x00 and the id of a schema"
    if len(head) < head_bytes:
        return "it ends before the id of its schema does"
    return None


def _id(head: bytes) -> int:
    return int.from_bytes(head[1:_ID_END], "big")


def _group(
    values: pa.Array, where: pa.Array, schema_id: int, message: tuple[int, ...], begin: int
) -> Group:
    mine = values if len(where) == len(values) else values.take(where)
    # Not binary_slice: without a stop it takes an array that is cut from another for too small.
    payloads = compute.binary_replace_slice(mine, 0, begin, b"")
    return Group(schema_id=schema_id, message=message, where=where, payloads=payloads)


def _by_message(
    values: pa.Array, where: pa.Array, schema_id: int
) -> tuple[list[Group], dict[int, str]]:
    """Split values whose message is not the first of its file, which is told in varints."""
    found: dict[tuple[tuple[int, ...], int], list[int]] = {}
    reasons = {}
    heads = compute.binary_slice(values.take(where), _ID_END, _ID_END + _MOST_INDEX_BYTES)
    for index, head in zip(where.to_pylist(), heads.to_pylist(), strict=True):
        try:
            found.setdefault(_message_indexes(head), []).append(index)
        except IndexError:
            reasons[index] = "its message indexes cannot be read"
    return [
        _group(values, pa.array(mine, pa.int64()), schema_id, message, _ID_END + length)
        for (message, length), mine in found.items()
    ], reasons


def _message_indexes(head: bytes) -> tuple[tuple[int, ...], int]:
    """Return the indexes and how many bytes tell them."""
    count, at = _varint(head, 0)
    indexes = []
    for _ in range(count):
        index, at = _varint(head, at)
        indexes.append(index)
    return tuple(indexes) or (0,), at


def _varint(head: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag number that may not be negative, and where the next one begins."""
    number = shift = 0
    while True:
        byte = head[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if number & 1 or shift > 35:  # noqa: PLR2004 - five bytes hold 32 bits
        raise IndexError
    return number >> 1, at
