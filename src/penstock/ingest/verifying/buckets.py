"""Rows put aside on disk, by a number each: so that two sides larger than memory meet part by part.

    rows + their numbers ─add─▶ <directory>/<number>.arrows ─read─▶ the rows of one number

A file is one Arrow stream after another, so none stays open between two calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, ipc

from penstock.errors import NotReady

__all__ = ["Buckets"]

_OPTIONS = ipc.IpcWriteOptions(compression="lz4")


@dataclass(slots=True, kw_only=True)
class Buckets:
    """One side's rows.

    Attributes:
        directory: of this side alone; made with the first rows.
        schema: of the rows.
        left_out: how many rows had no number.
    """

    directory: Path
    schema: pa.Schema
    left_out: int = field(default=0, init=False)

    def add(self, rows: pa.Table, numbers: pa.Array) -> None:
        """Put rows aside.

        Args:
            rows: with the columns of the schema.
            numbers: of the bucket of each row; null for none.

        Raises:
            NotReady: when the disk does not take them.
        """
        self.left_out += numbers.null_count
        order = compute.array_sort_indices(numbers, null_placement="at_end")
        order = order.slice(0, len(numbers) - numbers.null_count)
        rows = rows.select(self.schema.names).cast(self.schema).take(order)
        runs = compute.run_end_encode(numbers.take(order).cast(pa.int32()))
        begin = 0
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for number, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                with (
                    self._file(number).open("ab") as file,
                    ipc.new_stream(file, self.schema, options=_OPTIONS) as stream,
                ):
                    stream.write_table(rows.slice(begin, end - begin))
                begin = end
        except OSError as error:
            raise NotReady(
                f"rows cannot be put aside in {self.directory}: {error}. Free space there, or name "
                "another directory in TMPDIR."
            ) from error

    def read(self, number: int) -> pa.Table:
        """Return the rows of a bucket; none where nothing was put there."""
        path = self._file(number)
        pieces = [self.schema.empty_table()]
        if path.exists():
            with pa.OSFile(str(path)) as file:
                while file.tell() < file.size():
                    pieces.append(ipc.open_stream(file).read_all())
        return pa.concat_tables(pieces)

    def _file(self, number: int) -> Path:
        return self.directory / f"{number}.arrows"
