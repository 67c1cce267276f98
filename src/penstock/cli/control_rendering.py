"""The control plane's messages for scripts and for people; imports nothing of the platform."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from rich import box
from rich.table import Table

__all__ = ["make_table", "to_json"]


def to_json(message: Message) -> Any:
    """Return the message as the wire's JSON, with the names of the ``.proto``."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def make_table(*columns: str) -> Table:
    """Return an empty table that folds long names rather than cut them off."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
