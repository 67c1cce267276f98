"""How long a change takes from the commit in the database to the row in the table.

    table, version after version ─▶ rows newer than the last seen ─▶ (now - their commit time) …

Deletes leave no row, so they are not measured.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import quantiles

import pyarrow as pa
from pyarrow import compute

from penstock.errors import PenstockError
from penstock.ingest import delta
from penstock.ingest.changes import SEQUENCE, TIME
from penstock.ingest.locations import Location

__all__ = ["Watch", "percentile"]

_log = logging.getLogger(__name__)

_EVERY_S = 0.1
_KEPT = 200_000


class Watch:
    """Looks at tables until it is closed.

    Attributes:
        lags_s: of every row that came into sight, in seconds, newest last.
    """

    def __init__(self, places: Mapping[str, Location]) -> None:
        """Start nothing yet; ``places`` are the tables', by name."""
        self.lags_s: list[float] = []
        self._places = places
        self._seen: dict[str, tuple[int, int]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visibility", daemon=True)

    def start(self) -> None:
        """Take what is there now as seen, and look from now on."""
        for name in self._places:
            self._look(name)
        self.lags_s.clear()
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            for name in self._places:
                try:
                    self._look(name)
                except PenstockError as error:
                    _log.info("table %s cannot be looked at: %s", name, error.message)

    def _look(self, name: str) -> None:
        lake = delta.read_table(self._places[name])
        version, newest = self._seen.get(name, (-1, -1))
        if lake is None or lake.version == version:
            return
        now = datetime.now(UTC)
        with delta.translated(lake.place):
            rows = pa.RecordBatchReader.from_stream(
                lake.table.scan(columns=[TIME, SEQUENCE], predicate=f"{SEQUENCE} > {newest}")
            ).read_all()
        if rows.num_rows:
            newest = max(newest, compute.max(rows[SEQUENCE]).as_py())
            times = rows[TIME].to_pylist()
            self.lags_s += [(now - time).total_seconds() for time in times if time is not None]
            del self.lags_s[:-_KEPT]
        self._seen[name] = lake.version, newest


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile, rounded to milliseconds; None of nothing."""
    if len(values) < 2:  # noqa: PLR2004 - what a quantile needs
        return round(values[0], 3) if values else None
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 3)
