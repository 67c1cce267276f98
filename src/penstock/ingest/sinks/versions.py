"""Which versions of a Delta table a copy still lacks.

    where the copy is, where the table is ─missing─▶ WHOLE, or spans of versions in order

Pure. A span is carried out as one transaction, so a copy that is killed begins anew with the span
it was in, and none is ever carried out twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from penstock.errors import Refused

__all__ = ["WHOLE", "Missing", "Position", "Span", "gone", "missing"]

WHOLE: Final = "whole"
"""Every row, as it is now."""
SPAN_VERSIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a copy is.

    Attributes:
        source: the Delta table's own id, which a table made anew has not.
        version: the last version whose rows are in the copy; None while the first is under way.
        columns: types by name, as the copy has them.
    """

    source: str
    version: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """Versions that are copied as one, from the first to the last."""

    first: int
    last: int


Missing: TypeAlias = "Literal['whole'] | tuple[Span, ...]"


def missing(
    position: Position | None,
    *,
    source: str,
    newest: int,
    full: bool = False,
    at_most: int = SPAN_VERSIONS,
) -> Missing:
    """Return what a copy lacks.

    Args:
        position: where it is, None for a copy that was never begun.
        source: the Delta table's id.
        newest: the Delta table's version.
        full: whether to copy the whole table anyway.
        at_most: versions in a span.

    Raises:
        Refused: when the table is another one than was copied, or went back.
    """
    if full or position is None or position.version is None:
        return WHOLE
    if position.source != source or newest < position.version:
        raise Refused(
            "the table is not the one that was copied: it was made anew, or put back to an older "
            "version. Copy the whole table anew: --full."
        )
    firsts = range(position.version + 1, newest + 1, at_most)
    return tuple(Span(first=first, last=min(first + at_most - 1, newest)) for first in firsts)


def gone(span: Span) -> Refused:
    """Return what to raise when the table does not keep a span's changes any more."""
    return Refused(
        f"the changes of versions {span.first} to {span.last} are not kept any more: the copy is "
        "older than the table's retention. Copy the whole table anew: --full; then copy more often "
        "than compaction.retention, or make that longer."
    )
