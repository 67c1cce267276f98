"""What every commit of Spark's has around it: where the table is, whose the commit was, its rows.

    Location ─uri─▶ as Spark names it       log ─committing─▶ Spark's commit ─▶ log: is it ours?
    rows ─observed─▶ the same rows, counted while they are written

Spark leaves out a write whose number the table has already, in silence. So the log is looked at
before and after, and a commit that another process made is told as `Conflict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import Conflict
from penstock.ingest.locations import Location
from penstock.ingest.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["committing", "observed", "uri"]


def uri(place: Location) -> str:
    """Return the place as Spark names it."""
    if place.path is not None:
        return place.path.absolute().as_uri()
    scheme, rest = place.uri.split("://", 1)
    return f"{'s3a' if scheme == 's3' else scheme}://{rest}"


@contextmanager
def committing(inner: Target, number: int) -> Iterator[None]:
    """Look at the table's log before and after a commit of Spark's.

    Raises:
        Conflict: when the batch is not the next one, or its commit is not what came.
    """
    inner.refresh()
    if inner.last != number - 1:
        raise _moved_on(number)
    yield
    inner.refresh()
    if inner.last != number:
        raise _moved_on(number)


def observed(rows: DataFrame) -> tuple[Callable[[], int], DataFrame]:
    """Return what tells how many rows there were once they are written, and the rows to write."""
    from pyspark.sql import Observation, functions  # noqa: PLC0415 - heavy, and an extra

    seen = Observation()
    counted = rows.observe(seen, functions.count(functions.lit(1)).alias("rows"))
    return lambda: int(seen.get["rows"]), counted


def _moved_on(number: int) -> Conflict:
    """Return what is said when another process has written."""
    return Conflict(
        f"batch {number} is not the table's next one: another process has moved the table on. This "
        "one goes on from where it is."
    )
