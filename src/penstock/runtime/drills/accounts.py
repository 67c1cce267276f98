"""What became of every record of a drill: pure arithmetic over ids.

what the producer was told (Told) + what lies on the clusters (found) ─settle─▶ Account
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

__all__ = ["Account", "settle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The sums of a drill.

    Attributes:
        lost: acked, and on no cluster. Must be 0.
        duplicates: copies beyond the first.
        duplicates_unexpected: copies of records that the producer did not report as possibly
            doubled. Must be 0.
        unacked_found: not acked, and on a cluster all the same; allowed, since the producer was
            told that it does not know.
    """

    attempted: int
    acked: int
    lost: int
    duplicates: int
    duplicates_unexpected: int
    unacked_found: int

    @property
    def availability(self) -> float:
        """Return the share of attempted records that were acked; 1 where none was attempted."""
        return self.acked / self.attempted if self.attempted else 1.0


def settle(
    *,
    attempted: int,
    acked: AbstractSet[str],
    possibly_doubled: AbstractSet[str],
    found: Mapping[str, int],
) -> Account:
    """Account for every record.

    Args:
        attempted: how many records the producer was given.
        acked: ids of the acked ones.
        possibly_doubled: ids that the producer said may lie twice.
        found: how often each id lies on the clusters, together.
    """
    copies = {id_: times - 1 for id_, times in found.items() if times > 1}
    return Account(
        attempted=attempted,
        acked=len(acked),
        lost=len(acked - found.keys()),
        duplicates=sum(copies.values()),
        duplicates_unexpected=sum(n for id_, n in copies.items() if id_ not in possibly_doubled),
        unacked_found=len(found.keys() - acked),
    )
