"""What a decoder is, and how it says which values it cannot read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from penstock.errors import DataError

__all__ = ["Decoder", "Unreadable"]


class Decoder(Protocol):
    """Reads values into columns; one is made by `open_decoder` and used by one thread at a time.

    Attributes:
        schema: of what `decode` returns, in a table's types; what may be null is as declared.
    """

    schema: pa.Schema

    def decode(self, values: pa.Array) -> pa.Table:
        """Return a table of `schema`, one row a value, in order.

        Args:
            values: `pa.binary` without nulls; may be a slice.

        Raises:
            DataError: when any of the values cannot be read; `Unreadable` where it is known which.
            NotReady: when something it needs does not answer now.
            ConfigError: when it cannot work as it is declared.
        """


class Unreadable(DataError):
    """Values cannot be read, and more is known than that.

    Attributes:
        reasons: by index, of values that are sure to be poison.
        suspects: indexes of values that may be poison, and so are to be tried alone.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reasons: Mapping[int, str] | None = None,
        suspects: Sequence[int] = (),
    ) -> None:
        """Take the first reason for the message, unless there is another."""
        self.reasons = reasons or {}
        self.suspects = suspects
        super().__init__(message or next(iter(self.reasons.values()), "it cannot be read"))
