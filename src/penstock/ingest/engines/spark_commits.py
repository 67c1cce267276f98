"""What every commit of Spark's has around it: where the table is, and where its log stands.

    Location ─uri─▶ as Spark names it       log ─committing─▶ Spark's commit ─▶ log: is it there?

Spark leaves out a write whose number the table has already, in silence. So the log is looked at
before and after; whose commit it was is for the writer to find out, and to tell by `moved_on`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import Conflict
from penstock.ingest.locations import Location
from penstock.ingest.targets import Target

__all__ = ["committing", "moved_on", "uri"]


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
        raise moved_on(number)
    yield
    inner.refresh()
    if inner.last != number:
        raise moved_on(number)


def moved_on(number: int) -> Conflict:
    """Return what is said when another process has written."""
    return Conflict(
        f"batch {number} is not the table's next one: another process has moved the table on. This "
        "one goes on from where it is."
    )
