"""A decoder of the user's, as a data engineer would write one: `id;n`, in Latin-1."""

from __future__ import annotations

import pyarrow as pa

from penstock.errors import DataError


def read(values: pa.Array) -> pa.Table:
    """Return a row a value."""
    ids, numbers = [], []
    for value in values.to_pylist():
        parts = value.decode("latin-1").split(";")
        if len(parts) != 2 or not parts[1].isdecimal():
            raise DataError("not id;n")
        ids.append(parts[0])
        numbers.append(int(parts[1]))
    return pa.table({"id": ids, "n": pa.array(numbers, pa.int64())})
