"""A function of the user's: any bytes, read by code that only its owner knows.

    "module:function" | entry point of `penstock.decoders` ─▶ function
    values, one Arrow array of bytes ─function─▶ table of as many rows ─casts─▶ the columns

The function gets a whole batch and so can be as fast as Arrow. It says that a value is bad by raising
`DataError`, or `Unreadable` where it knows which; any other exception of it counts as the same, with
its text, so that a bug in it fills the dead letters rather than stopping all tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigError, DataError, PenstockError
from penstock.ingest.decoders import arrays, casts
from penstock.ingest.decoders.arrays import BadEntries
from penstock.ingest.decoders.casts import Unfit
from penstock.ingest.decoders.protocol import Unreadable

__all__ = ["GROUP", "FunctionDecoder"]

GROUP = "penstock.decoders"
"""The entry points that name decoders."""


class FunctionDecoder:
    """Reads values by a function."""

    def __init__(self, name: str, wanted: pa.Schema | None) -> None:
        """Load the function; without columns, its ``schema`` attribute tells them.

        Raises:
            ConfigError: when there is no such function, or no columns.
        """
        self._name = name
        self._function = _load(name)
        told = getattr(self._function, "schema", None)
        if wanted is None and not isinstance(told, pa.Schema):
            raise ConfigError(
                f"the table of function {name!r} has no columns. Declare them, or give the function "
                "an attribute `schema`, a pyarrow.Schema."
            )
        self.schema = _tabular(name, told) if wanted is None else wanted

    def decode(self, values: pa.Array) -> pa.Table:
        """Return what the function makes of the values.

        Raises:
            DataError: when it cannot read one of them.
            ConfigError: when what it returns is not what the table needs.
        """
        if not len(values):
            return self.schema.empty_table()
        try:
            made = self._function(values)
        except PenstockError:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            raise DataError(f"function {self._name} cannot read it: {text}") from error
        return self._as_declared(self._checked(made, len(values)))

    def _checked(self, made: Any, rows: int) -> pa.StructArray:
        if isinstance(made, pa.RecordBatch):
            made = pa.Table.from_batches([made])
        if not isinstance(made, pa.Table):
            raise ConfigError(
                f"function {self._name} returned {type(made).__name__}. Return a pyarrow.Table or "
                "RecordBatch."
            )
        if made.num_rows != rows:
            raise ConfigError(
                f"function {self._name} returned {made.num_rows} rows for {rows} values. Return one "
                "row a value, in order; raise DataError for a value that has none."
            )
        # Copied into one piece: what a function returns may be cut from something larger.
        whole = made.take(pa.arange(0, rows)).combine_chunks()
        return whole.to_batches()[0].to_struct_array()

    def _as_declared(self, made: pa.StructArray) -> pa.Table:
        missing = [name for name in self.schema.names if made.type.get_field_index(name) < 0]
        if missing:
            raise ConfigError(
                f"function {self._name} returned no column {', '.join(missing)}. Return every "
                "declared column."
            )
        try:
            parts = [casts.part(made.type, field) for field in self.schema]
            converted = arrays.fields(parts)(made)
        except Unfit as error:
            raise ConfigError(
                f"function {self._name} returned {error}. Return the declared types, or ones that "
                "fit in them."
            ) from error
        except BadEntries as error:
            reasons = {index: str(reason) for index, reason in error.reasons.items()}
            raise Unreadable(reasons=reasons) from error
        batch = pa.RecordBatch.from_arrays(converted.flatten(), schema=self.schema)
        return pa.Table.from_batches([batch])


def _load(name: str) -> Callable[[pa.Array], Any]:
    found = _by_path(name) if ":" in name else _by_entry_point(name)
    if not callable(found):
        raise ConfigError(f"decoder.function {name!r} is no function. Name one: module:function.")
    function: Callable[[pa.Array], Any] = found
    return function


def _by_path(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"decoder.function {name!r} cannot be loaded: {error}. Install it where ingest runs; for "
            "Spark also where its workers run."
        ) from error
    return found


def _by_entry_point(name: str) -> Any:
    points = metadata.entry_points(group=GROUP)
    if name not in points.names:
        known = ", ".join(sorted(points.names)) or "none is installed"
        raise ConfigError(
            f"no decoder is installed as {name!r} (known: {known}). Install the package that has it, "
            "or write module:function."
        )
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"decoder.function {name!r} cannot be loaded: {error}.") from error


def _tabular(name: str, told: Any) -> pa.Schema:
    try:
        return pa.schema([pa.field(f.name, casts.tabular(f.type), f.nullable) for f in told])
    except Unfit as error:
        raise ConfigError(
            f"the schema of function {name!r} has what no table has: {error}."
        ) from error
