"""Avro: fastavro reads each value by the schema it was written with, Arrow makes the columns.

    registry: frame ─id─▶ writer's schema ─resolved to the subject's newest─▶ values ─▶ columns
    schema file: values ─▶ the one schema ─▶ columns

Resolution is Avro's own: a field the writer did not know has the newest schema's default, one that
was renamed is found by its alias, a number may have become a wider one. Where the newest schema
lacks a declared column that the writer's has, the writer's alone counts, so nothing written is lost.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import pyarrow as pa
from fastavro import _read_py as in_python

from penstock.errors import ConfigError, DataError, NotFound
from penstock.ingest.decoders import arrays, avro_shapes, casts, framing
from penstock.ingest.decoders.arrays import BadEntries
from penstock.ingest.decoders.casts import Unfit
from penstock.ingest.decoders.protocol import Unreadable
from penstock.schemas.registry import Kind, Registry, Schema

__all__ = ["FiledAvro", "RegisteredAvro"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """A record's schema.

    Attributes:
        told: with logical types, for the columns.
        plain: without, for fastavro.
        names: the named types of ``told``.
    """

    told: Any
    plain: Any
    names: Mapping[str, Any]

    @property
    def fields(self) -> set[str]:
        """Return the names of its fields."""
        return {each["name"] for each in self.told["fields"]}


class _Reader:
    """Reads values of one writer's schema."""

    def __init__(self, writer: _Parsed, reader: _Parsed | None, wanted: pa.Schema | None) -> None:
        """Prepare; raises `Unfit` where the columns do not go with the schema."""
        whole = reader or writer
        self._writer = writer.plain
        self._reader = None if reader is None or reader.plain == writer.plain else reader.plain
        self._shape = avro_shapes.shape(whole.told, whole.names)
        # In C a value that is nested too deep ends the process; in Python it is an error.
        endless = avro_shapes.is_endless(writer.told, writer.names)
        self._read_one = in_python.schemaless_reader if endless else fastavro.schemaless_reader
        if not pa.types.is_struct(self._shape.made):
            raise Unfit("a record without fields has no columns")
        kind = casts.tabular(self._shape.made) if wanted is None else pa.struct(list(wanted))
        self.schema = pa.schema(list(kind))
        self._convert = arrays.chain(self._shape.convert, casts.caster(self._shape.made, kind))

    def read(self, values: pa.Array) -> pa.Table:
        """Return the records as rows, or raise `DataError`."""
        records, reasons = [], {}
        for index, value in enumerate(values.to_pylist()):
            try:
                records.append(self._record(value))
            except Exception as error:  # noqa: BLE001 - fastavro has no error of its own
                reasons[index] = f"not Avro of its schema: {str(error) or type(error).__name__}"
        if reasons:
            raise Unreadable(reasons=reasons)
        try:
            array = pa.array(records, self._shape.given)
            converted = array if self._convert is None else self._convert(array)
        except BadEntries as error:
            told = {index: str(reason) for index, reason in error.reasons.items()}
            raise Unreadable(reasons=told) from error
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(f"not Avro of its schema: {error}") from error
        batch = pa.RecordBatch.from_arrays(converted.flatten(), schema=self.schema)
        return pa.Table.from_batches([batch])

    def _record(self, value: bytes) -> Any:
        stream = io.BytesIO(value)
        record = self._read_one(stream, self._writer, self._reader)
        if stream.tell() != len(value):
            raise ValueError(f"{len(value) - stream.tell()} bytes are left over")
        return record if self._shape.prepare is None else self._shape.prepare(record)


class FiledAvro:
    """Reads bare values by a schema file."""

    def __init__(self, text: str, wanted: pa.Schema | None) -> None:
        """Prepare to read.

        Raises:
            ConfigError: when the file is no record's schema, or does not go with the columns.
        """
        try:
            self._reader = _Reader(_parse(text, {}), None, wanted)
        except (DataError, Unfit) as error:
            raise _do_not_go("decoder.descriptor", error) from error
        self.schema = self._reader.schema

    def decode(self, values: pa.Array) -> pa.Table:
        """Return the records as rows.

        Raises:
            DataError: when one cannot be read.
        """
        return self._reader.read(values) if len(values) else self.schema.empty_table()


class RegisteredAvro:
    """Reads framed values by the schemas of a registry."""

    def __init__(self, registry: Registry, *, subject: str, wanted: pa.Schema | None) -> None:
        """Prepare to read.

        Args:
            registry: has the schemas.
            subject: whose newest schema the records are resolved to, where there is one.
            wanted: the columns; None for those of the newest schema.

        Raises:
            ConfigError: when the newest schema cannot give the columns.
            NotReady: when the registry does not answer.
        """
        self._registry = registry
        self._newest = self._latest(subject, needed=wanted is None)
        self._readers: dict[int, _Reader] = {}
        if wanted is None and self._newest is not None:
            try:
                wanted = _Reader(self._newest, None, None).schema
            except Unfit as error:
                raise _do_not_go(f"subject {subject!r}", error) from error
        self.schema = pa.schema([]) if wanted is None else wanted

    def decode(self, values: pa.Array) -> pa.Table:
        """Return the records as rows.

        Raises:
            DataError: when one cannot be read, or names no schema of ours.
            NotReady: when the registry is to tell a new schema, and does not answer.
        """
        if not len(values):
            return self.schema.empty_table()
        groups, reasons = framing.split(values, with_message=False)
        return framing.gather(groups, reasons, self._read)

    def _read(self, group: framing.Group) -> pa.Table:
        if group.schema_id not in self._readers:
            self._readers[group.schema_id] = self._open(group.schema_id)
        return self._readers[group.schema_id].read(group.payloads)

    def _open(self, schema_id: int) -> _Reader:
        schema = self._registry.schema(schema_id)
        if schema.kind is not Kind.AVRO:
            raise DataError(f"schema id {schema_id} is {schema.kind.value}, not Avro")
        writer = self._parsed(schema)
        newest = self._newest
        if newest is not None and (writer.fields - newest.fields) & set(self.schema.names):
            newest = None
        try:
            return _Reader(writer, newest, self.schema)
        except Unfit as error:
            told = f"schema id {schema_id} does not go with the table's columns: {error}"
            raise DataError(told) from error

    def _latest(self, subject: str, *, needed: bool) -> _Parsed | None:
        try:
            schema = self._registry.latest(subject)
        except NotFound:
            if needed:
                raise
            return None
        if schema.kind is not Kind.AVRO:
            raise ConfigError(
                f"the registry's subject {subject!r} is {schema.kind.value}. Correct decoder.format, "
                "or name another one: decoder.subject."
            )
        try:
            return self._parsed(schema)
        except DataError as error:
            raise ConfigError(f"subject {subject!r}: {error.message}") from error

    def _parsed(self, schema: Schema) -> _Parsed:
        referred = self._registry.referred(schema)
        return _parse(schema.text, {name: each.text for name, each in referred.items()})


def _parse(text: str, referred: Mapping[str, str]) -> _Parsed:
    """Return a schema parsed after those it refers to.

    Raises:
        DataError: when it is no schema of a record.
    """
    names: dict[str, Any] = {}
    plain_names: dict[str, Any] = {}
    try:
        for each in referred.values():
            fastavro.parse_schema(json.loads(each), named_schemas=names)
            fastavro.parse_schema(avro_shapes.plain(json.loads(each)), named_schemas=plain_names)
        told = fastavro.parse_schema(json.loads(text), named_schemas=names)
        plain = fastavro.parse_schema(
            avro_shapes.plain(json.loads(text)), named_schemas=plain_names
        )
    except (ValueError, KeyError, TypeError, fastavro.schema.SchemaParseException) as error:
        raise DataError(f"its schema cannot be parsed: {error!r}") from error
    if not isinstance(told, dict) or told.get("type") != "record":
        raise DataError("its schema is of no record")
    return _Parsed(told=told, plain=plain, names=names)


def _do_not_go(what: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{what} does not go with the declared columns: {error}. Declare types that hold its "
        "fields, or leave columns out."
    )
