"""What was tried with a connector and did not help: when the next try is due.

    a try ─▶ Try(count, at) ─▶ pauses that double ─▶ due again · long healthy ─▶ forgotten

A new declaration is due at once, whatever failed under the old one. Pure: the clock is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["Pauses", "Tries", "Try"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long to wait between tries.

    Attributes:
        first_s: after the first; it doubles with each.
        longest_s: and never grows beyond this.
        steady_s: what has been healthy for so long since its last try starts a new row.
    """

    first_s: float = 5.0
    longest_s: float = 300.0
    steady_s: float = 300.0

    def after(self, count: int) -> float:
        """Return the pause after this many tries in a row."""
        return float(min(self.longest_s, self.first_s * 2 ** min(count - 1, 30)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """The latest try with one connector.

    Attributes:
        fingerprint: of the declaration that was tried.
        count: tries in a row under it.
        at_s: when.
        error: what came of it, where it failed at once; empty where it was taken.
    """

    fingerprint: str
    count: int
    at_s: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """What was tried, by connector name."""

    pauses: Pauses = field(default_factory=Pauses)
    latest: Mapping[str, Try] = field(default_factory=dict)

    def due_at_s(self, name: str, fingerprint: str) -> float:
        """Return when the next try is due; minus infinity for at once."""
        last = self.latest.get(name)
        if last is None or last.fingerprint != fingerprint:
            return float("-inf")
        return last.at_s + self.pauses.after(last.count)

    def is_due(self, name: str, fingerprint: str, *, now_s: float) -> bool:
        """Tell whether the next try is due."""
        return self.due_at_s(name, fingerprint) <= now_s

    def with_try(self, name: str, fingerprint: str, *, now_s: float, error: str = "") -> Tries:
        """Return these and one more try."""
        last = self.latest.get(name)
        row = last.count if last is not None and last.fingerprint == fingerprint else 0
        made = Try(fingerprint=fingerprint, count=row + 1, at_s=now_s, error=error)
        return replace(self, latest={**self.latest, name: made})

    def without_steady(self, healthy: frozenset[str], *, now_s: float) -> Tries:
        """Return these without the ones that have been healthy for long enough."""
        kept = {
            name: one
            for name, one in self.latest.items()
            if name not in healthy or now_s - one.at_s < self.pauses.steady_s
        }
        return replace(self, latest=kept)

    def without_absent(self, present: frozenset[str]) -> Tries:
        """Return these without those of connectors that are declared no more."""
        kept = {name: one for name, one in self.latest.items() if name in present}
        return replace(self, latest=kept)
