"""What a benchmark reports: one row a measured case, beside its peer and its goal."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Row(TypedDict):
    """One measured case.

    ``ratio`` is ours / peer where there is a peer. ``met`` tells whether the goal is reached,
    None where there is none.
    """

    bench: str
    case: str
    ours: float
    peer: float | None
    peer_name: str | None
    unit: str
    ratio: float | None
    goal: str
    met: bool | None
    note: NotRequired[str]
