"""Rows by key, compared with what the topic's changes come to.

    changes, one a key ─numbers─▶ parts by the hash of the key
      ─judge─▶ folded once more ─expected─▶ rows that must be there, and no others ─▶ Range

What no change tells (a large text that was never sent) is not judged, nor are rows the topic is not
enough for: where it does not have every change any more, only keys that it has changes of, and of
these only rows that are not newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from penstock.ingest import folding, merging_sql
from penstock.ingest.changes import ABSENT, OPERATION, Operation
from penstock.ingest.plan import Gap
from penstock.ingest.verifying import compare
from penstock.ingest.verifying.compare import Range, quoted
from penstock.ingest.verifying.counted import hashed

__all__ = ["Keyed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """How a merged table is compared.

    Attributes:
        columns: that are compared.
        folder: of the table's changes.
        truncates: whether a truncation of the source empties the table.
        truncated: the newest truncation; no row for none.
        count: of parts.
        whole: whether the topic still has every change.
    """

    columns: pa.Schema
    folder: folding.Folder
    truncates: bool
    truncated: pa.Table
    count: int
    whole: bool

    def without(self, gaps: Sequence[Gap]) -> Keyed:
        """Return the same less what the topic does not have any more."""
        return replace(self, whole=self.whole and not gaps)

    def after(self, truncations: pa.Table) -> Keyed:
        """Return the same with the truncations among the changes, if they count."""
        if not self.truncates:
            return self
        return replace(self, truncated=folding.truncation(truncations))

    def numbers(self, rows: pa.Table) -> pa.Array:
        """Return the part of each row or change."""
        return hashed(rows, self.folder.primary_key, self.count)

    def judge(self, number: int, source: pa.Table, table: pa.Table) -> Range:
        """Compare one part.

        Args:
            number: of it.
            source: changes, as `changes.changes_schema` has them.
            table: rows, with the marks.
        """
        folded = folding.after(self.folder.fold(source), self.truncated)
        expected, judged = self._expected(folded, table)
        found, _ = compare.compare(
            expected,
            judged,
            key=self.folder.primary_key,
            name=f"part {number + 1} of {self.count} by key",
        )
        left_out = table.num_rows - judged.num_rows
        return replace(found, table_rows=table.num_rows, unjudged=left_out)

    def _expected(self, folded: pa.Table, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return the rows that must be in the table, and the table's that are compared with them."""
        key, marks = self.folder.primary_key, self.folder.marks
        same = merging_sql.same_key(key)
        told = ", ".join(_told(name, key) for name in self.columns.names)
        late = f"t.{quoted(key[0])} IS NULL OR {merging_sql.newer(marks)}"
        names = ", ".join(f"t.{quoted(name)}" for name in self.columns.names)
        # A key that is there twice is expected once.
        once = f"SELECT DISTINCT ON ({', '.join(map(quoted, key))}) * FROM present"  # noqa: S608
        mine = "" if self.whole else f"SEMI JOIN judged s ON {same}"
        with compare.connected() as connection:
            connection.register("folded", folded)
            connection.register("present", table)
            connection.execute(
                f"CREATE TEMP TABLE judged AS SELECT {told}, s.{quoted(OPERATION)} AS _what "  # noqa: S608 - quoted
                f"FROM folded s LEFT JOIN ({once}) t ON {same} "
                f"WHERE {'true' if self.whole else late}"
            )
            expected = connection.sql(
                f"SELECT * EXCLUDE (_what) FROM judged WHERE _what <> '{Operation.DELETE.value}'"  # noqa: S608
            ).to_arrow_table()
            judged = connection.sql(f"SELECT {names} FROM present t {mine}").to_arrow_table()  # noqa: S608
        return expected, judged


def _told(name: str, key: Sequence[str]) -> str:
    """Return what a row must have in the column: what it has, where no change says what."""
    column = quoted(name)
    if name in key:
        return f"s.{column} AS {column}"
    literal = name.replace("'", "''")
    silent = f"coalesce(list_contains(s.{quoted(ABSENT)}, '{literal}'), false)"
    return f"CASE WHEN {silent} THEN t.{column} ELSE s.{column} END AS {column}"
