"""Tables on the wire: `model.tables` to and from their messages.

The messages have the model's field names, so one loop serves every part; what a field of the model
is declared to be tells how it is read back.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from penstock.api._gen import penstock_pb2 as pb
from penstock.errors import RemoteError
from penstock.model import tables

__all__ = ["decode_table", "encode_table"]

_MESSAGES: dict[type, Any] = {
    tables.Table: pb.Table,
    tables.Column: pb.Column,
    tables.DerivedColumn: pb.DerivedColumn,
    tables.Decoder: pb.Decoder,
    tables.Merge: pb.Merge,
    tables.Bootstrap: pb.Bootstrap,
    tables.DeadLetters: pb.DeadLetters,
    tables.Compaction: pb.Compaction,
}

T = TypeVar("T")


def encode_table(table: tables.Table) -> pb.Table:
    """Return the table as its wire message."""
    message: pb.Table = _encode(table)
    return message


def decode_table(message: pb.Table) -> tables.Table:
    """Return the table the message describes.

    Raises:
        RemoteError: for a mode, decoder or other choice this version does not know.
    """
    return _decode(tables.Table, message)


def _encode(value: Any) -> Any:
    # Any: one of the model's dataclasses, and the message of its name.
    if not dataclasses.is_dataclass(value):
        if isinstance(value, tuple):
            return [_encode(each) for each in value]
        return value.value if isinstance(value, Enum) else value
    fields = {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return _MESSAGES[type(value)](**fields)


def _decode(kind: type[T], message: Any) -> T:
    hints = get_type_hints(kind)
    fields = {name: _read(hint, getattr(message, name)) for name, hint in hints.items()}
    return kind(**fields)


def _read(hint: Any, value: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], each) for each in value)
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return _decode(hint, value)
        if issubclass(hint, Enum):
            try:
                return hint(value)
            except ValueError as error:
                raise RemoteError(
                    f"the control plane sent {hint.__name__} {value!r}, which this version of "
                    "Penstock does not know; upgrade the penstock package of this client"
                ) from error
    return value
