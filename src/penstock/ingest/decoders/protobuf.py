"""Protobuf: bytes to Arrow by ptars, each value by the schema it was written with.

    registry: frame ─id, message─▶ Reader of that schema ─▶ rows of the table's columns
    descriptor file: values ─▶ the one Reader ─▶ rows

A schema that is newer or older than the table is read by itself, and brought to the columns by the
names of the fields: a field it does not have is null. ptars says that a batch has a bad value; which
one, protobuf's own library tells, and ptars has the last word on each.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import ptars
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from pyarrow import compute

from penstock.errors import ConfigError, DataError
from penstock.ingest.decoders import framing
from penstock.ingest.decoders.arrays import BadEntries, Reason
from penstock.ingest.decoders.casts import Unfit
from penstock.ingest.decoders.protobuf_shapes import FILE, NOT_CANONICAL, PACKAGE, Shapes
from penstock.ingest.decoders.protocol import Unreadable
from penstock.schemas import protobuf as schemas
from penstock.schemas.registry import Kind, Registry, Schema

__all__ = [
    "DescribedProtobuf",
    "Reader",
    "RegisteredProtobuf",
    "find_message",
    "parse_files",
    "pool_of",
]

_CONFIG = ptars.PtarsConfig(
    list_value_name="element",
    list_nullable=True,
    map_nullable=True,
    list_value_nullable=True,
    map_value_nullable=True,
)
_SURELY_SHALLOW_BYTES = 8 * 2**10
"""A level of nesting takes a byte at least, and about a hundred of the stack."""

Pool: TypeAlias = descriptor_pool.DescriptorPool


class Reader:
    """Reads one message type.

    Attributes:
        schema: of what `read` returns.
    """

    def __init__(self, descriptor: Descriptor, wanted: pa.Schema | None) -> None:
        """Prepare to read the columns that are wanted; None for all there are.

        Raises:
            Unfit: when a field cannot be what is wanted.
        """
        shapes = Shapes()
        shape = shapes.shape(descriptor, None if wanted is None else pa.struct(list(wanted)))
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(shapes.file.SerializeToString())
        mine = pool.FindMessageTypeByName(f"{PACKAGE}.{shape.name}")
        self.schema = pa.schema(list(shape.have))
        self._name = descriptor.full_name
        self._convert = shape.convert
        self._class = message_factory.GetMessageClass(mine)
        handlers = ptars.HandlerPool([pool.FindFileByName(FILE)], config=_CONFIG)
        self._handler = handlers.get_for_message(mine)

    def read(self, values: pa.Array) -> pa.Table:
        """Return the messages as rows.

        Raises:
            DataError: when a value is no such message, or has a value the table has no place for.
        """
        try:
            converted = self._converted(self._read(values))
        except BadEntries as error:
            again = [i for i, r in error.reasons.items() if r.text == NOT_CANONICAL]
            if not again:
                raise _unreadable(error) from error
            return self.read(self._canonical(values, again))
        batch = pa.RecordBatch.from_arrays(converted.flatten(), schema=self.schema)
        return pa.Table.from_batches([batch])

    def _converted(self, array: pa.StructArray) -> pa.StructArray:
        return array if self._convert is None else self._convert(array)

    def _read(self, values: pa.Array) -> pa.StructArray:
        self._check_large(values)
        try:
            return self._handler.array_to_record_batch(values).to_struct_array()
        except ValueError as error:
            raise self._find(values, str(error)) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise self._find(values, f"unreadable: {error}") from error

    def _check_large(self, values: pa.Array) -> None:
        """Refuse what could end the process: ptars follows groups inside groups without end."""
        large = compute.greater(compute.binary_length(values), _SURELY_SHALLOW_BYTES)
        if not compute.any(large).as_py():
            return
        indexes = compute.indices_nonzero(large).to_pylist()
        bad = [index for index in indexes if not self._parses(values[index].as_py())]
        if bad:
            told = f"no message {self._name}: cut short, garbled, or nested too deep"
            raise Unreadable(reasons=dict.fromkeys(bad, told))

    def _find(self, values: pa.Array, message: str) -> DataError:
        told = message.removeprefix("failed to decode Protobuf message: ")
        suspects = [i for i, value in enumerate(values.to_pylist()) if not self._parses(value)]
        return Unreadable(f"no message {self._name}: {told}", suspects=suspects)

    def _parses(self, value: bytes) -> bool:
        try:
            self._class.FromString(value)
        except DecodeError:
            return False
        return True

    def _canonical(self, values: pa.Array, indexes: list[int]) -> pa.Array:
        """Return the values, those at the indexes as protobuf's library writes what it reads."""
        chosen = pa.array(indexes, pa.int64())
        mask = compute.is_in(pa.arange(0, len(values)), chosen)
        rewritten = [
            self._class.FromString(values[index].as_py()).SerializeToString(deterministic=True)
            for index in sorted(indexes)
        ]
        return compute.replace_with_mask(values, mask, pa.array(rewritten, pa.binary()))


class DescribedProtobuf:
    """Reads bare messages by a descriptor file."""

    def __init__(
        self, files: descriptor_pb2.FileDescriptorSet, message: str, wanted: pa.Schema | None
    ) -> None:
        """Prepare to read.

        Raises:
            ConfigError: when the file lacks the message, or its fields do not go with the columns.
        """
        descriptor = find_message(pool_of(files), files.file[-1].name, message)
        try:
            self._reader = Reader(descriptor, wanted)
        except Unfit as error:
            raise _do_not_go(descriptor.full_name, error) from error
        self.schema = self._reader.schema

    def decode(self, values: pa.Array) -> pa.Table:
        """Return the messages as rows.

        Raises:
            DataError: when one cannot be read.
        """
        return self._reader.read(values) if len(values) else self.schema.empty_table()


class RegisteredProtobuf:
    """Reads framed messages by the schemas of a registry."""

    def __init__(
        self, registry: Registry, *, subject: str, message: str, wanted: pa.Schema | None
    ) -> None:
        """Prepare to read; asks the registry only where no columns are declared.

        Args:
            registry: has the schemas.
            subject: whose newest schema gives the columns.
            message: full name of the only message to read; empty for each schema's first.
            wanted: the columns; None for those of the subject's newest schema.

        Raises:
            ConfigError: when the subject's schema cannot give the columns.
            NotReady: when the registry does not answer.
        """
        self._registry = registry
        self._message = message
        self._readers: dict[tuple[int, tuple[int, ...]], Reader | DataError] = {}
        if wanted is None:
            descriptor = self._newest(subject)
            self._message = descriptor.full_name
            try:
                wanted = Reader(descriptor, None).schema
            except Unfit as error:
                raise _do_not_go(descriptor.full_name, error) from error
        self.schema = wanted

    def decode(self, values: pa.Array) -> pa.Table:
        """Return the messages as rows.

        Raises:
            DataError: when one cannot be read, or names no schema of ours.
            NotReady: when the registry is to tell a new schema, and does not answer.
        """
        if not len(values):
            return self.schema.empty_table()
        groups, reasons = framing.split(values, with_message=True)
        return framing.gather(groups, reasons, self._read)

    def _read(self, group: framing.Group) -> pa.Table:
        key = (group.schema_id, group.message)
        if key not in self._readers:
            try:
                self._readers[key] = self._open(*key)
            except Unfit as error:
                told = f"schema id {group.schema_id} does not go with the table's columns: {error}"
                self._readers[key] = DataError(told)
        found = self._readers[key]
        if isinstance(found, DataError):
            raise DataError(found.message)
        return found.read(group.payloads)

    def _open(self, schema_id: int, indexes: tuple[int, ...]) -> Reader | DataError:
        schema = self._registry.schema(schema_id)
        if schema.kind is not Kind.PROTOBUF:
            return DataError(f"schema id {schema_id} is {schema.kind.value}, not protobuf")
        pool, main = self._compiled(schema)
        descriptor = _by_indexes(pool.FindFileByName(main), indexes)
        if descriptor is None:
            return DataError(f"schema id {schema_id} has no message {list(indexes)}")
        if not self._message and indexes != (0,):
            return DataError(
                f"a message {descriptor.full_name}, and the table is of each schema's first; name "
                "the one to read: decoder.message"
            )
        if self._message and descriptor.full_name != self._message:
            return DataError(
                f"a message {descriptor.full_name}, and the table is of {self._message}"
            )
        return Reader(descriptor, self.schema)

    def _newest(self, subject: str) -> Descriptor:
        schema = self._registry.latest(subject)
        if schema.kind is not Kind.PROTOBUF:
            raise ConfigError(
                f"the registry's subject {subject!r} is {schema.kind.value}. Correct decoder.format, "
                "or name another one: decoder.subject."
            )
        try:
            pool, main = self._compiled(schema)
        except DataError as error:
            raise ConfigError(f"subject {subject!r}: {error.message}") from error
        return find_message(pool, main, self._message)

    def _compiled(self, schema: Schema) -> tuple[Pool, str]:
        compiled = schemas.compile_schema(schema, self._registry.referred(schema))
        return pool_of(compiled.files), compiled.main


def parse_files(content: bytes, place: str) -> descriptor_pb2.FileDescriptorSet:
    """Return the content of a descriptor file.

    Raises:
        ConfigError: when it is none.
    """
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(content)
    except DecodeError as error:
        raise _no_descriptor(place) from error
    if not files.file or not all(file.name for file in files.file):
        raise _no_descriptor(place)
    return files


def _no_descriptor(place: str) -> ConfigError:
    return ConfigError(
        f"{place} is no descriptor file. Make it with protoc --include_imports "
        "--descriptor_set_out=FILE."
    )


def pool_of(files: descriptor_pb2.FileDescriptorSet) -> Pool:
    """Return the files as descriptors.

    Raises:
        ConfigError: when they do not hang together.
    """
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files.file:
            pool.AddSerializedFile(file.SerializeToString())
            pool.FindFileByName(file.name)
    except (TypeError, KeyError) as error:
        raise ConfigError(
            f"the descriptor file is not whole: {error}. Make it with protoc --include_imports."
        ) from error
    return pool


def find_message(pool: Pool, main: str, name: str) -> Descriptor:
    """Return the message of the name; the first one of the file where there is none.

    Raises:
        ConfigError: when there is no such message.
    """
    if name:
        try:
            return pool.FindMessageTypeByName(name)
        except KeyError as error:
            raise ConfigError(
                f"the schema has no message {name!r}. Correct decoder.message: its full name, with "
                "the package."
            ) from error
    file = pool.FindFileByName(main)
    if not file.message_types_by_name:
        raise ConfigError(f"the schema's file {main} has no message. Name one: decoder.message.")
    return _by_indexes(file, (0,)) or next(iter(file.message_types_by_name.values()))


def _by_indexes(file: Any, indexes: tuple[int, ...]) -> Descriptor | None:
    """Return the message at the indexes, from the outside in; None where there is none."""
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    among, name = proto.message_type, proto.package
    for index in indexes:
        if index >= len(among):
            return None
        name = f"{name}.{among[index].name}".removeprefix(".")
        among = among[index].nested_type
    found: Descriptor = file.pool.FindMessageTypeByName(name)
    return found


def _unreadable(error: BadEntries) -> Unreadable:
    reasons: dict[int, Reason] = error.reasons
    return Unreadable(reasons={index: str(reason) for index, reason in reasons.items()})


def _do_not_go(name: str, error: Unfit) -> ConfigError:
    return ConfigError(
        f"message {name} does not go with the declared columns: {error}. Declare types that hold "
        "its fields, or leave columns out."
    )
