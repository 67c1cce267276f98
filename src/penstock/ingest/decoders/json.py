"""JSON, strict and typed: one object a value, each field of the declared type or poison.

    values ─one object each?─▶ one text ─pyarrow.json, typed─▶ columns as read ─texts, casts─▶ columns
                                  └─ columns with a map in them ─parsed one by one─▶ ┘

Guarantee: row i is value i and no other. pyarrow.json reads a stream of objects, so a value must be
shown to be exactly one. It begins with ``{`` and ends with ``}``; an object left open in one value
is not closed by a later one, since a ``{`` may not follow a ``}`` and a string may not hold the line
break between them. So each value gives at least one row or an error, and as many rows as values is
one row each. (Without the first check, a top-level ``null`` crashes pyarrow.) Never turns a wrong
value into null; never reads what is not declared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import compute
from pyarrow import json as arrow_json

from penstock.errors import DataError
from penstock.ingest import arrow_types
from penstock.ingest.decoders import arrays, json_parsed, texts
from penstock.ingest.decoders.arrays import BadEntries, Convert, Part, Reason
from penstock.ingest.decoders.protocol import Unreadable
from penstock.model import tables

__all__ = ["JsonDecoder", "check_objects"]

_NO_OBJECT = "not a JSON object: it does not begin with { and end with }"
_BEGINS = r"^[ \t\r\n]*\{"
_ENDS = r"\}[ \t\r\n]*$"
_NO_NUMBER = f'"({"|".join(json_parsed.NO_NUMBERS)})"'
_ROW = re.compile(r" in row (\d+)$")
_TYPE = re.compile(r"Column\(/(?P<path>.*)\) changed from (?P<want>\w+) to (?P<got>\w+)")
_TWICE = re.compile(r"Column\(/(?P<path>.*)\) was specified twice")


class JsonDecoder:
    """Reads the declared columns of JSON objects."""

    def __init__(self, columns: Sequence[tables.Column]) -> None:
        """Prepare to read these columns."""
        self.schema = arrow_types.schema(columns)
        parts = [_part(field) for field in self.schema]
        parsed = [part.field for part in parts if _has_map(part.field.type)]
        self._parsed = json_parsed.Parser(parsed) if parsed else None
        self._read_as = pa.schema(
            [
                pa.field(part.field.name, _read_as(part.field.type))
                for part in parts
                if not _has_map(part.field.type)
            ]
        )
        self._convert = arrays.fields(parts)
        # For values that only a look at each of them can tell from wrong ones.
        self._parse_all = json_parsed.Parser(list(self.schema))
        self._convert_all = arrays.fields(
            [
                Part(field=f, convert=json_parsed.converter(f.type), source=f.name)
                for f in self.schema
            ]
        )

    def decode(self, values: pa.Array) -> pa.Table:
        """Return the columns of the objects, one a value.

        Raises:
            DataError: when a value is not one object, or a field is missing or of another type.
        """
        if not len(values):
            return self.schema.empty_table()
        check_objects(values)
        try:
            batch = self._read(values)
        except DataError as error:
            unusual = compute.match_substring_regex(values, _NO_NUMBER)
            if compute.any(unusual).as_py():
                return self._decode_apart(values, unusual)
            raise self._find(values, error) from error
        try:
            if self._parsed is not None:
                for name, column in self._parsed.read(values).items():
                    batch = batch.append_column(name, column)
            return self._table(self._convert(batch.to_struct_array()))
        except BadEntries as error:
            raise _unreadable(error) from error

    def _decode_apart(self, values: pa.Array, unusual: pa.Array) -> pa.Table:
        """Decode values with a text for what is no number by themselves: pyarrow reads none."""
        every = pa.arange(0, len(values))
        mine, others = every.filter(unusual), every.filter(compute.invert(unusual))
        told: dict[int, str] = {}
        suspects: list[int] = []
        tables_ = []
        for indexes, read in ((others, self.decode), (mine, self._decode_parsed)):
            try:
                tables_.append(read(values.take(indexes)))
            except Unreadable as error:
                told |= {indexes[i].as_py(): reason for i, reason in error.reasons.items()}
                suspects += [indexes[i].as_py() for i in error.suspects if i < len(indexes)]
                message = error.message
        if len(tables_) < 2:  # noqa: PLR2004 - one of each
            raise Unreadable(message, reasons=told, suspects=suspects)
        order = compute.sort_indices(pa.concat_arrays([others, mine]))
        return pa.concat_tables(tables_).take(order).combine_chunks()

    def _decode_parsed(self, values: pa.Array) -> pa.Table:
        try:
            columns = self._parse_all.read(values)
            array = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
            return self._table(self._convert_all(array))
        except BadEntries as error:
            raise _unreadable(error) from error

    def _table(self, converted: pa.StructArray) -> pa.Table:
        batch = pa.RecordBatch.from_arrays(converted.flatten(), schema=self.schema)
        return pa.Table.from_batches([batch])

    def _find(self, values: pa.Array, error: DataError) -> DataError:
        """Return the error with what is known of the values; pyarrow says too little of which."""
        reasons, suspects = json_parsed.find_poison(values, list(self.schema))
        if reasons or suspects:
            return Unreadable(error.message, reasons=reasons, suspects=suspects)
        return error

    def _read(self, values: pa.Array) -> pa.RecordBatch:
        text = _one_text(values)
        try:
            read = arrow_json.read_json(
                pa.BufferReader(text),
                # One block: pyarrow then cuts the text nowhere, so a value may span lines.
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=text.size),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=self._read_as, unexpected_field_behavior="ignore"
                ),
            )
            if read.num_rows != len(values):
                raise DataError("more than one JSON object in one value")
            read.validate(full=True)  # JSON's text is not checked to be UTF-8 before
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _explain(str(error)) from error
        chunks = read.combine_chunks().to_batches()
        return (
            chunks[0] if chunks else pa.RecordBatch.from_pylist([{}] * len(values), self._read_as)
        )


def _unreadable(error: BadEntries) -> Unreadable:
    return Unreadable(reasons={index: str(reason) for index, reason in error.reasons.items()})


def check_objects(values: pa.Array) -> None:
    """Return when each value begins and ends as an object does.

    Raises:
        Unreadable: with every value that does not.
    """
    if (
        compute.all(compute.starts_with(values, b"{")).as_py()
        and compute.all(compute.ends_with(values, b"}")).as_py()
    ):
        return
    good = compute.and_(
        compute.match_substring_regex(values, _BEGINS), compute.match_substring_regex(values, _ENDS)
    )
    bad = compute.indices_nonzero(compute.invert(good)).to_pylist()
    if bad:
        raise Unreadable(reasons=dict.fromkeys(bad, _NO_OBJECT))


def _one_text(values: pa.Array) -> pa.Buffer:
    """Return the values as lines: an end of line can stand in no value's string."""
    ends = pa.array([0, len(values) + 1], pa.int32())
    closed = pa.concat_arrays([values, pa.array([b""], pa.binary())])
    joined = compute.binary_join(pa.ListArray.from_arrays(ends, closed), b"\n")
    return joined[0].as_buffer()


def _explain(message: str) -> DataError:
    """Say it in the words of the file; where the message names a row, tell it as a suspect."""
    row = _ROW.search(message)
    text = _ROW.sub("", message).removeprefix("JSON parse error: ")
    if match := _TYPE.search(text):
        text = f"the field {match['path']!r} is {match['got']}, not {match['want']}"
    elif match := _TWICE.search(text):
        text = f"the field {match['path']!r} is there twice"
    return Unreadable(text, suspects=[int(row[1])] if row else [])


def _has_map(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return True
    if pa.types.is_list(kind):
        return _has_map(kind.value_type)
    return pa.types.is_struct(kind) and any(_has_map(field.type) for field in kind)


def _read_as(kind: pa.DataType) -> pa.DataType:
    """Return the type that pyarrow.json reads; what it reads too freely it reads as text."""
    if pa.types.is_decimal(kind) or texts.reader(kind) is None:
        if pa.types.is_list(kind):
            return pa.list_(pa.field("element", _read_as(kind.value_type)))
        if pa.types.is_struct(kind):
            return pa.struct([pa.field(f.name, _read_as(f.type)) for f in kind])
        return kind
    return pa.string()


def _part(field: pa.Field) -> Part:
    parsed = _has_map(field.type)
    convert = json_parsed.converter(field.type) if parsed else _converter(field.type)
    return Part(field=field, convert=convert, source=field.name)


def _converter(kind: pa.DataType) -> Convert | None:
    if pa.types.is_list(kind):
        return arrays.elements(_converter(kind.value_type), kind)
    if pa.types.is_struct(kind):
        return arrays.fields([_part(field) for field in kind])
    if pa.types.is_floating(kind):
        return _finite
    return None if pa.types.is_decimal(kind) else texts.reader(kind)


def _finite(numbers: pa.Array) -> pa.Array:
    """Refuse NaN, which pyarrow takes though JSON has none, and what a float cannot hold."""
    if compute.all(compute.is_finite(numbers)).as_py() is False:
        wrong = compute.fill_null(compute.invert(compute.is_finite(numbers)), fill_value=False)
        at = compute.indices_nonzero(wrong).to_pylist()
        raise BadEntries(dict.fromkeys(at, Reason(text="is no number that fits")))
    return numbers
