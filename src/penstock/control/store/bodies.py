"""Model values as JSON text in a row's ``body``, and back."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from penstock.errors import RemoteError

__all__ = ["decode", "encode", "to_text"]

T = TypeVar("T")


def encode(value: object) -> str:
    """Return a frozen value of the model as JSON."""
    return to_json(value).decode()


def decode(kind: type[T], body: str) -> T:
    """Return the value that `encode` wrote.

    Raises:
        RemoteError: when the row holds something this version cannot read.
    """
    try:
        value: T = _adapter(kind).validate_json(body)  # type: ignore[arg-type]  # a type is hashable
    except ValidationError as error:
        raise RemoteError(
            f"the store holds a {kind.__name__} this version cannot read ({error}); "
            "upgrade Penstock, or restore the store from a backup"
        ) from error
    return value


def to_text(value: Any) -> str:
    """Return plain JSON data as text, with sorted keys; nothing at all as the empty string."""
    return json.dumps(value, sort_keys=True, default=str) if value else ""


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
