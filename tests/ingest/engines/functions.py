"""A decoder of the user's, as a data engineer would write one: `id;n;note[;extra]`, in Latin-1."""

from __future__ import annotations

import pyarrow as pa

from penstock.errors import DataError


def read(values: pa.Array) -> pa.Table:
    """Return a row a value."""
    rows = []
    for value in values.to_pylist():
        parts = value.decode("latin-1").split(";")
        if len(parts) not in {3, 4} or not parts[1].isdecimal():
            raise DataError("not id;n;note")
        rows.append((parts[0], int(parts[1]), parts[2], parts[3] if len(parts) > 3 else None))
    ids, numbers, notes, extras = zip(*rows, strict=True)
    return pa.table(
        {
            "id": ids,
            "n": pa.array(numbers, pa.int64()),
            "note": notes,
            "extra": pa.array(extras, pa.string()),
        }
    )
