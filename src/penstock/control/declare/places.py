"""Where in the files something was written, so that every fault can name its line.

file ─reader─▶ Document(content, lines) ─fault(loc)─▶ errors.Fault(file, line, …)

A location is a path of keys and indexes inside one document, as pydantic reports it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from penstock.errors import Fault

__all__ = ["Document", "Loc", "nearest"]

Loc: TypeAlias = tuple[str | int, ...]

_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document, as plain values, and the line of each.

    Attributes:
        file: path as the user gave it.
        content: of the document; keys are strings.
        lines: 1-based, by location; the document itself is at ``()``.
    """

    file: str
    content: Mapping[str, Any]
    lines: Mapping[Loc, int] = field(repr=False)

    def line(self, loc: Loc = ()) -> int:
        """Return the line of the location, or of the nearest enclosing one that was written."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 0)

    def place(self, loc: Loc = ()) -> str:
        """Return ``file:line``."""
        return f"{self.file}:{self.line(loc)}"

    def fault(self, loc: Loc, what: str, next_step: str) -> Fault:
        """Return a fault at the location."""
        return Fault(file=self.file, line=self.line(loc), what=what, next_step=next_step)

    def value(self, loc: Loc) -> Any:
        """Return what was written at the location, or None."""
        value: Any = self.content
        for step in loc:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean …?`` for the known name most like this one, else what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean {close[0]}?"
    more = ", …" if len(names) > _SHOWN else ""
    return f"Known: {', '.join(names[:_SHOWN])}{more}." if names else ""
