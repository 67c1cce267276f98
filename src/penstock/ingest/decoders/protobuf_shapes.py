"""Protobuf messages as columns: what is read of a message, and what is made of what was read.

    Descriptor + wanted type ─shape─▶ Message: a descriptor of its own, with only what is wanted
                                      └─ Convert: ptars' arrays ─▶ the table's

The descriptor that ptars reads by is a rewritten one. Enums are numbers there, so that unknown ones
stay what they are; times are seconds and nanoseconds, so that none overflows; what has no columns
(`Struct`, `Any`, a message inside itself) is bytes, made JSON text afterwards. The wire is the same.
The mapping, field by field, is docs/reference/decoders.md; a test holds each line of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pyarrow import compute

from penstock.ingest.decoders import arrays, casts, protobuf_known
from penstock.ingest.decoders.arrays import BadEntries, Convert, Part, Reason
from penstock.ingest.decoders.casts import Unfit

__all__ = ["FILE", "NOT_CANONICAL", "PACKAGE", "Shapes"]

PACKAGE = "penstock.read"
FILE = "penstock/read.proto"
NOT_CANONICAL = "is written as only a protobuf library reads it"
"""Of a value with several members of a oneof, or a key of a map, more than once: the last counts."""

_Proto = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """How one value is read.

    Attributes:
        number: of the field's type on the wire.
        name: of the message it is read as, where it is one.
        have: its Arrow type after ``convert``.
    """

    number: int
    have: pa.DataType
    name: str = ""
    convert: Convert | None = None


@dataclass(slots=True)
class Shapes:
    """Collects the messages that are to be read, in one file."""

    file: descriptor_pb2.FileDescriptorProto = field(
        default_factory=lambda: descriptor_pb2.FileDescriptorProto(
            name=FILE, package=PACKAGE, syntax="proto3"
        )
    )

    def shape(
        self, descriptor: Descriptor, wanted: pa.StructType | None, *, above: tuple[str, ...] = ()
    ) -> _Leaf:
        """Return how a message is read as a struct.

        Args:
            descriptor: the message's own.
            wanted: the struct; None for every field the message has.
            above: full names of the messages around it.

        Raises:
            Unfit: when a field cannot be what is wanted.
        """
        message = self.file.message_type.add(name=f"M{len(self.file.message_type)}")
        oneofs = _Oneofs(message, descriptor)
        parts = []
        for each in descriptor.fields:
            if wanted is not None and wanted.get_field_index(each.name) < 0:
                continue
            want = None if wanted is None else wanted.field(each.name).type
            try:
                parts.append(self._field(message, each, want, (*above, descriptor.full_name)))
            except Unfit as error:
                raise Unfit(f"{each.name}: {error}") from error
            oneofs.place(message.field[-1], each)
        oneofs.finish()
        if wanted is not None:
            made = {part.field.name: part for part in parts}
            parts = [_as_wanted(made.get(each.name), each) for each in wanted]
        return _Leaf(
            number=_Proto.TYPE_MESSAGE,
            name=message.name,
            have=pa.struct([part.field for part in parts]),
            convert=arrays.chain(oneofs.check(), arrays.fields(parts)),
        )

    def _field(
        self,
        message: descriptor_pb2.DescriptorProto,
        each: FieldDescriptor,
        want: pa.DataType | None,
        above: tuple[str, ...],
    ) -> Part:
        mine = message.field.add(name=each.name, number=each.number)
        if each.message_type is not None and each.message_type.GetOptions().map_entry:
            leaf = self._map(message, each, want, above)
            mine.label = _Proto.LABEL_REPEATED
        elif each.is_repeated:
            element = want.value_type if want is not None and pa.types.is_list(want) else None
            if want is not None and element is None:
                raise Unfit(f"a repeated field is not {want}")
            leaf = _listed(self._leaf(each, element, above))
            mine.label = _Proto.LABEL_REPEATED
        else:
            leaf = self._leaf(each, want, above)
            mine.label = _Proto.LABEL_OPTIONAL
        mine.type = leaf.number  # type: ignore[assignment]  # one of the enum's numbers
        if leaf.name:
            mine.type_name = f".{PACKAGE}.{leaf.name}"
        kind = casts.tabular(leaf.have) if want is None else want
        return Part(
            field=pa.field(each.name, kind),
            convert=arrays.chain(leaf.convert, casts.caster(leaf.have, kind)),
            source=each.name,
        )

    def _map(
        self,
        message: descriptor_pb2.DescriptorProto,
        each: FieldDescriptor,
        want: pa.DataType | None,
        above: tuple[str, ...],
    ) -> _Leaf:
        if want is not None and not pa.types.is_map(want):
            raise Unfit(f"a map is not {want}")
        entry = _message_of(each)
        key = self._leaf(entry.fields_by_name["key"], None, above)
        want_value = None if want is None else want.item_type
        value = self._leaf(entry.fields_by_name["value"], want_value, above)
        mine = message.nested_type.add(name=entry.name)
        mine.options.map_entry = True
        for number, (name, leaf) in enumerate({"key": key, "value": value}.items(), start=1):
            made = mine.field.add(name=name, number=number, label=_Proto.LABEL_OPTIONAL)
            made.type = leaf.number  # type: ignore[assignment]  # as above
            if leaf.name:
                made.type_name = f".{PACKAGE}.{leaf.name}"
        have = pa.map_(key.have, value.have)
        convert = arrays.entries(key.convert, value.convert, have)
        return _Leaf(
            number=_Proto.TYPE_MESSAGE,
            name=f"{message.name}.{entry.name}",
            have=have,
            convert=arrays.chain(_once_a_key, convert),
        )

    def _leaf(
        self, each: FieldDescriptor, want: pa.DataType | None, above: tuple[str, ...]
    ) -> _Leaf:
        if each.type == FieldDescriptor.TYPE_GROUP:
            raise Unfit("a group cannot be read; leave it out of the declared columns")
        if each.type == FieldDescriptor.TYPE_ENUM:
            return _enum(each, want)
        if each.type != FieldDescriptor.TYPE_MESSAGE:
            return _Leaf(number=each.type, have=_SCALARS[each.type])
        descriptor = _message_of(each)
        if (known := protobuf_known.KNOWN.get(descriptor.full_name)) is not None:
            return self._known(known)
        as_bytes = want is not None and (pa.types.is_string(want) or pa.types.is_binary(want))
        endless = want is None and descriptor.full_name in above
        if as_bytes or endless or not descriptor.fields or descriptor.full_name in _AS_JSON:
            return _json(descriptor, want)
        if want is not None and not pa.types.is_struct(want):
            raise Unfit(f"message {descriptor.full_name} is not {want}")
        return self.shape(descriptor, want, above=above)

    def _known(self, known: protobuf_known.Known) -> _Leaf:
        name = f"K{len(self.file.message_type)}"
        message = self.file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(known.fields.items(), start=1):
            message.field.add(
                name=field_name, number=number, type=kind, label=_Proto.LABEL_OPTIONAL
            )
        return _Leaf(number=_Proto.TYPE_MESSAGE, name=name, have=known.have, convert=known.convert)


_SCALARS: Mapping[int, pa.DataType] = {
    FieldDescriptor.TYPE_DOUBLE: pa.float64(),
    FieldDescriptor.TYPE_FLOAT: pa.float32(),
    FieldDescriptor.TYPE_INT64: pa.int64(),
    FieldDescriptor.TYPE_SINT64: pa.int64(),
    FieldDescriptor.TYPE_SFIXED64: pa.int64(),
    FieldDescriptor.TYPE_UINT64: pa.uint64(),
    FieldDescriptor.TYPE_FIXED64: pa.uint64(),
    FieldDescriptor.TYPE_INT32: pa.int32(),
    FieldDescriptor.TYPE_SINT32: pa.int32(),
    FieldDescriptor.TYPE_SFIXED32: pa.int32(),
    FieldDescriptor.TYPE_UINT32: pa.uint32(),
    FieldDescriptor.TYPE_FIXED32: pa.uint32(),
    FieldDescriptor.TYPE_BOOL: pa.bool_(),
    FieldDescriptor.TYPE_STRING: pa.string(),
    FieldDescriptor.TYPE_BYTES: pa.binary(),
}
_AS_JSON = {
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
    "google.protobuf.Any",
    "google.protobuf.FieldMask",
}


class _Oneofs:
    """Keeps what may be absent so, and the members of a oneof together."""

    def __init__(self, message: descriptor_pb2.DescriptorProto, descriptor: Descriptor) -> None:
        self._message = message
        self._real = {
            oneof.name: number
            for number, oneof in enumerate(descriptor.oneofs)
            # A field that is `optional` is the only one of a oneof made for it.
            if not (len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}")
        }
        self._members: dict[str, list[_Proto]] = {}
        self._optional: list[_Proto] = []

    def place(self, mine: _Proto, each: FieldDescriptor) -> None:
        oneof = each.containing_oneof
        if oneof is not None and oneof.name in self._real:
            self._members.setdefault(oneof.name, []).append(mine)
        elif each.has_presence and mine.type != _Proto.TYPE_MESSAGE:
            mine.proto3_optional = True
            self._optional.append(mine)

    def finish(self) -> None:
        for name, members in self._members.items():
            self._message.oneof_decl.add(name=name)
            for mine in members:
                mine.oneof_index = len(self._message.oneof_decl) - 1
        for mine in self._optional:
            self._message.oneof_decl.add(name=f"_{mine.name}")
            mine.oneof_index = len(self._message.oneof_decl) - 1

    def check(self) -> Convert | None:
        """Return what tells messages with several members: ptars reads all, the last one counts."""
        groups = [[mine.name for mine in each] for each in self._members.values() if len(each) > 1]
        return (lambda array: _one_member(array, groups)) if groups else None


def _one_member(array: pa.StructArray, groups: list[list[str]]) -> pa.StructArray:
    for names in groups:
        set_ = [compute.cast(array.field(name).is_valid(), pa.int8()) for name in names]
        count = set_[0]
        for each in set_[1:]:
            count = compute.add(count, each)
        _not_canonical(compute.greater(count, 1))
    return array


def _once_a_key(array: pa.MapArray) -> pa.MapArray:
    """Tell maps with a key twice: the last one counts."""
    if not len(array.keys):
        return array
    # Of a list: asked of a map, Arrow ends the process.
    keys = array.keys
    parents = compute.list_parent_indices(pa.ListArray.from_arrays(array.offsets, keys))
    pairs = pa.table({"parent": parents, "key": keys}).group_by(["parent", "key"])
    counted = pairs.aggregate([([], "count_all")])
    if counted.num_rows < len(keys):
        twice = counted.filter(compute.greater(counted["count_all"], 1))["parent"]
        every = pa.arange(0, len(array))
        _not_canonical(compute.is_in(every, twice.combine_chunks().cast(pa.int64())))
    return array


def _not_canonical(found: pa.Array) -> None:
    if compute.any(found).as_py():
        at = compute.indices_nonzero(found).to_pylist()
        raise BadEntries(dict.fromkeys(at, Reason(text=NOT_CANONICAL)))


def _as_wanted(part: Part | None, wanted: pa.Field) -> Part:
    if part is None:
        return Part(field=wanted, convert=None, source=None)
    return Part(field=wanted, convert=part.convert, source=part.source)


def _message_of(each: FieldDescriptor) -> Descriptor:
    """Return the message of a field that is one."""
    if each.message_type is None:
        raise TypeError(each.full_name)
    return each.message_type


def _listed(leaf: _Leaf) -> _Leaf:
    have = pa.list_(pa.field("element", leaf.have))
    convert = arrays.elements(leaf.convert, have)
    return _Leaf(number=leaf.number, name=leaf.name, have=have, convert=convert)


def _enum(each: FieldDescriptor, want: pa.DataType | None) -> _Leaf:
    if each.enum_type is None or (want is not None and pa.types.is_integer(want)):
        return _Leaf(number=_Proto.TYPE_INT32, have=pa.int32())
    # Of aliases the first name counts, as in protobuf's JSON.
    names: dict[int, str] = {}
    for value in each.enum_type.values:
        names.setdefault(value.number, value.name)
    return _Leaf(number=_Proto.TYPE_INT32, have=pa.string(), convert=_named(names))


def _named(names: Mapping[int, str]) -> Convert:
    numbers = pa.array(list(names), pa.int32())
    texts = pa.array(list(names.values()), pa.string())

    def convert(array: pa.Array) -> pa.Array:
        found = texts.take(compute.index_in(array, numbers))
        if found.null_count == array.null_count:
            return found
        return compute.coalesce(found, array.cast(pa.string()))

    return convert


def _json(descriptor: Descriptor, want: pa.DataType | None) -> _Leaf:
    if want is not None and pa.types.is_binary(want):
        return _Leaf(number=_Proto.TYPE_BYTES, have=pa.binary())
    return _Leaf(
        number=_Proto.TYPE_BYTES,
        have=pa.string(),
        convert=_told(protobuf_known.json_text(descriptor), "cannot be JSON text"),
    )


def _told(text_of: Callable[[bytes], str], why: str) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        made: list[Any] = []
        bad = {}
        for index, value in enumerate(array.to_pylist()):
            try:
                made.append(None if value is None else text_of(value))
            except ValueError as error:
                bad[index] = Reason(text=f"{why}: {error}")
        if bad:
            raise BadEntries(bad)
        return pa.array(made, pa.string())

    return convert
