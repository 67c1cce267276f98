"""Values to columns: the decoder seam, and the one decoder there is, strict JSON.

    values ─split off what cannot be an object─▶ pyarrow.json ─▶ Decoded.columns
                       │                            └─ a batch fails: halve it, and again ─┐
                       └──────────────────────────▶ Decoded.poison (index, reason) ◀───────┘

Guarantee: row i of the columns is value ``kept[i]`` and no other. pyarrow.json reads a stream of
objects, so a value must be shown to be exactly one. It begins with ``{`` and ends with ``}``; an
object left open in one value is not closed by a later one, since a ``{`` may not follow a ``}`` and
a string may not hold the line break between them. So each value gives at least one row or an error,
and as many rows as values is one row each. (Without the first check, a top-level ``null`` crashes
pyarrow.) Never turns a wrong value into null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

import pyarrow as pa
from pyarrow import json as arrow_json

from penstock.errors import ConfigError, DataError
from penstock.ingest import arrow_types
from penstock.model import tables, types

__all__ = ["Decoded", "Decoder", "Poison", "decode", "decode_json", "decoder_of"]

Decoder: TypeAlias = Callable[[Sequence[bytes], Sequence[tables.Column]], pa.Table]
"""Turns values into a table with exactly these columns and a row a value, in order, or raises
`DataError` when any of the values cannot be read; `decode` then finds which."""


_TOMBSTONE = "no value: an append-only table has no row for a tombstone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A record that cannot be a row: its index among the values, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What became of the values: ``kept`` are the indexes behind the rows of ``columns``."""

    columns: pa.Table
    kept: tuple[int, ...]
    poison: tuple[Poison, ...]


def decoder_of(decoder: tables.Decoder) -> Decoder:
    """Return the function that does what the table declares."""
    match decoder.format:
        case tables.Format.JSON:
            return decode_json
        case tables.Format.PROTOBUF | tables.Format.AVRO | tables.Format.FUNCTION:
            raise ConfigError(f"no decoder for {decoder.format} yet; declare decoder: json")
        case _:
            assert_never(decoder.format)


def decode(
    values: Sequence[bytes | None],
    columns: Sequence[tables.Column],
    *,
    decoder: Decoder,
    refused: Mapping[int, str],
) -> Decoded:
    """Decode the values, and find every one that cannot be.

    Args:
        values: as Kafka has them; None is a tombstone, which has no row in an append-only table.
        columns: what to read.
        decoder: what reads them.
        refused: reasons by index of the records that are known to be poison already.
    """
    poison = [Poison(index=index, reason=reason) for index, reason in refused.items()]
    present = []
    for index, value in enumerate(values):
        if index in refused:
            continue
        if value is None:
            poison.append(Poison(index=index, reason=_TOMBSTONE))
        else:
            present.append((index, value))
    pieces: list[pa.Table] = [_schema(columns).empty_table()]
    kept: list[int] = []
    # Halves wait on a stack, the left one on top, so rows keep the order of the values.
    waiting = [present] if present else []
    while waiting:
        part = waiting.pop()
        try:
            pieces.append(decoder([value for _, value in part], columns))
            kept.extend(index for index, _ in part)
        except DataError as error:
            if len(part) == 1:
                poison.append(Poison(index=part[0][0], reason=error.message))
                continue
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
    return Decoded(
        columns=pa.concat_tables(pieces),
        kept=tuple(kept),
        poison=tuple(sorted(poison, key=lambda each: each.index)),
    )


def decode_json(values: Sequence[bytes], columns: Sequence[tables.Column]) -> pa.Table:
    """Read each value as one JSON object; fields that are not declared are not read.

    Raises:
        DataError: when a value is not an object, or a field is missing or of another type.
    """
    # One block, ended by a line break: pyarrow then cuts it nowhere, so a value may span lines.
    text = b"\n".join([*map(_object_text, values), b""])
    # pyarrow.json reads dates as numbers only; they are read as text and cast, as strictly.
    read_as = pa.schema(
        [
            pa.field(
                column.name, pa.string() if _is_date(column) else arrow_types.to_arrow(column.kind)
            )
            for column in columns
        ]
    )
    try:
        read = arrow_json.read_json(
            pa.BufferReader(text),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text)),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=read_as, unexpected_field_behavior="ignore"
            ),
        )
        if read.num_rows != len(values):
            raise DataError("more than one JSON object in one value")
        table = _as_declared(read, columns)
        table.validate(full=True)  # JSON's text is not checked to be UTF-8 before
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(str(error)) from error
    _check_present(table, columns)
    return table


def _schema(columns: Sequence[tables.Column]) -> pa.Schema:
    return pa.schema([pa.field(c.name, arrow_types.to_arrow(c.kind)) for c in columns])


def _is_date(column: tables.Column) -> bool:
    return column.kind is types.Primitive.DATE


def _as_declared(read: pa.Table, columns: Sequence[tables.Column]) -> pa.Table:
    return pa.table(
        [
            read[column.name].cast(pa.date32()) if _is_date(column) else read[column.name]
            for column in columns
        ],
        schema=_schema(columns),
    )


def _check_present(table: pa.Table, columns: Sequence[tables.Column]) -> None:
    for column in columns:
        if not column.nullable and table[column.name].null_count:
            raise DataError(f"the field {column.name!r} is missing or null")


def _object_text(value: bytes) -> bytes:
    text = value.strip(b" \t\r\n")
    if text[:1] != b"{" or text[-1:] != b"}":
        raise DataError("not a JSON object: it does not begin with { and end with }")
    return text
