"""Rows added, none ever changed.

rows of batch N ─▶ new files + N, one Delta commit      many commits ─tidy─▶ few large files
"""

from __future__ import annotations

import pyarrow as pa

from penstock.ingest import delta, ledger
from penstock.ingest.locations import Location
from penstock.ingest.targets import Outcome
from penstock.model import tables

__all__ = ["AppendTarget"]


class AppendTarget:
    """A table that only grows; see `Target`."""

    def __init__(self, table: tables.Table, place: Location, schema: pa.Schema) -> None:
        """Open the table, and make it when there is none.

        Raises:
            Refused: when the table there is not what is declared.
            NotReady: when the storage fails.
        """
        self._app_id = ledger.app_id(table)
        self.lake = delta.open_table(
            place,
            schema,
            partition_by=table.partition_by,
            configuration=delta.properties(table.compaction, change_feed=table.change_feed),
            policy=table.evolution,
            app_id=self._app_id,
        )
        self._names = self.lake.schema.names

    @property
    def last(self) -> int:
        """Return the number of the last batch in the table's own log."""
        return self.lake.last(self._app_id)

    @property
    def rows(self) -> int:
        """Return how many rows the table has."""
        return self.lake.rows

    @property
    def files(self) -> int:
        """Return how many files hold them."""
        return self.lake.files

    def refresh(self) -> None:
        """Look at the newest version."""
        self.lake.refresh()

    def commit(self, number: int, rows: pa.Table) -> Outcome:
        """Write the rows and the batch's number as one; see `Target.commit`."""
        # Delta writes the chunks of a table side by side; one chunk keeps the offsets in order.
        # Columns that came to the table later stand at its end.
        ordered = rows.select(self._names).combine_chunks()
        files = self.lake.append(ordered, app_id=self._app_id, number=number)
        return Outcome(inserted=rows.num_rows, files_added=files)

    def tidy(self) -> Outcome:
        """Join small files and delete those nobody needs any more."""
        added, removed = self.lake.tidy()
        return Outcome(files_added=added, files_removed=removed)
