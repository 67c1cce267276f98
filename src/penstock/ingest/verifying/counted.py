"""Rows that do not tell which record they are of, compared as a multiset.

rows ─numbers─▶ parts by the hash of the whole row ─judge─▶ Range: each row as often as it must be
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from penstock.ingest.plan import Gap
from penstock.ingest.verifying import compare
from penstock.ingest.verifying.compare import Range

__all__ = ["Counted", "hashed"]

_ROW = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How an append table without coordinates is compared.

    Attributes:
        columns: that are compared.
        count: of parts.
        whole: whether the topic still has every record; else rows that only the table has are not
            judged.
    """

    columns: pa.Schema
    count: int
    whole: bool

    def without(self, gaps: Sequence[Gap]) -> Counted:
        """Return the same less what the topic does not have any more."""
        return replace(self, whole=self.whole and not gaps)

    def numbers(self, rows: pa.Table) -> pa.Array:
        """Return the part of each row."""
        return hashed(rows, self.columns.names, self.count)

    def judge(self, number: int, source: pa.Table, table: pa.Table) -> Range:
        """Compare one part."""
        judged, _ = compare.compare(
            _texts(source),
            _texts(table),
            key=[_ROW],
            whole=self.whole,
            name=f"part {number + 1} of {self.count} by row",
        )
        return judged


def hashed(rows: pa.Table, names: Sequence[str], count: int) -> pa.Array:
    """Return a number below ``count`` for each row, the same for the same values of the columns."""
    values = ", ".join(map(compare.quoted, names))
    with compare.connected() as connection:
        connection.register("rows", rows.select(list(names)))
        query = f"SELECT (hash(row({values})) % {count})::INTEGER AS number FROM rows"  # noqa: S608 - quoted
        numbers: pa.Array = connection.sql(query).to_arrow_table()["number"].combine_chunks()
    return numbers


def _texts(rows: pa.Table) -> pa.Table:
    """Return each row as one text, in which every value stands exactly."""
    values = ", ".join(map(compare.quoted, rows.column_names))
    with compare.connected() as connection:
        connection.register("rows", rows)
        query = f"SELECT row({values})::VARCHAR AS {_ROW} FROM rows"  # noqa: S608 - quoted
        texts: pa.Table = connection.sql(query).to_arrow_table()
    return texts
