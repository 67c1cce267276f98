"""What a load is cut into, written down before the first piece runs.

    Parts of files ─cut─▶ pieces of bounded size ─▶ Plan ─create if absent─▶ <table>/_penstock/<name>/

Guarantee: there is one plan of a name, whoever writes it; piece N is the same parts for ever. What
is done the table's own log says, under the load's application id. Pure but for `Loads`, which is
small files beside the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.errors import NotReady
from penstock.ingest.locations import Location

__all__ = ["Loads", "Part", "Plan", "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of one file.

    Attributes:
        file: its name below the archive's path.
        first: the first row group of a Parquet file, the first byte of JSON lines.
        end: the one after the last.
        rows: how many it has; for JSON lines about how many.
        values: columns that are in the file's path instead of in the file, as text.
    """

    file: str
    first: int
    end: int
    rows: int
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One load.

    Attributes:
        name: ``bootstrap`` or ``backfill/<id>``; unique in the table.
        source: URI of what is loaded.
        pieces: piece N is the N-th, counted from 1.
        since_ms: records from before are left out; 0 for none.
        until_ms: records from then on are left out; 0 for none.
        taken_at_ms: for a snapshot, when it was taken; 0 for an archive.
    """

    name: str
    source: str
    pieces: tuple[tuple[Part, ...], ...]
    since_ms: int = 0
    until_ms: int = 0
    taken_at_ms: int = 0

    @property
    def rows(self) -> int:
        """Return how many rows there are to look at, about."""
        return sum(part.rows for piece in self.pieces for part in piece)

    def render(self) -> bytes:
        """Return the plan as its file holds it."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def parse(content: bytes) -> Plan:
    """Return the plan that a file holds.

    Raises:
        ValueError: when it holds none.
    """
    told: dict[str, Any] = json.loads(content)
    pieces = tuple(tuple(Part(**part) for part in piece) for piece in told.pop("pieces"))
    return Plan(**told, pieces=pieces)


def cut(parts: Iterable[Part], *, rows: int) -> tuple[tuple[Part, ...], ...]:
    """Return the parts in pieces of at most so many rows, unless a part alone has more.

    Args:
        parts: in order.
        rows: of a piece.
    """
    pieces: list[list[Part]] = []
    held = 0
    for part in parts:
        if not pieces or held + part.rows > rows:
            pieces.append([])
            held = 0
        pieces[-1].append(part)
        held += part.rows
    return tuple(tuple(piece) for piece in pieces)


@dataclass(frozen=True, slots=True)
class Loads:
    """The loads of one table, and what people ask of them.

    Attributes:
        place: of the table.
    """

    place: Location

    def read(self, name: str) -> Plan | None:
        """Return the plan of the name, None for none.

        Raises:
            NotReady: when the storage fails, or the file is no plan.
        """
        content = self.place.get(f"_penstock/{name}/plan.json")
        try:
            return None if content is None else parse(content)
        except (ValueError, KeyError, TypeError) as error:
            raise NotReady(
                f"{self.place}/_penstock/{name}/plan.json is no plan of a load: {error!r}. Restore "
                "the file, or delete it when the load has not begun."
            ) from error

    def write(self, plan: Plan) -> Plan:
        """Write the plan unless there is one of its name; return the one that holds."""
        self.place.create(f"_penstock/{plan.name}/plan.json", plan.render())
        return self.read(plan.name) or plan

    def names(self) -> list[str]:
        """Return the names of all loads, in order."""
        found = self.place.names("_penstock/backfill")
        names = [name.removeprefix("_penstock/").removesuffix("/plan.json") for name in found]
        loads = [
            name for name, file in zip(names, found, strict=True) if file.endswith("/plan.json")
        ]
        begun = "_penstock/bootstrap/plan.json" in self.place.names("_penstock/bootstrap")
        return (["bootstrap"] if begun else []) + loads

    def ask(self, name: str, what: str) -> None:
        """Ask a load to ``pause`` or to ``cancel``, before its next piece."""
        self.place.put(f"_penstock/{name}/{what}", b"")

    def resume(self, name: str) -> None:
        """Take back what was asked."""
        self.place.delete(f"_penstock/{name}/pause", f"_penstock/{name}/cancel", lasting=True)

    def asked(self, name: str) -> str:
        """Return ``pause``, ``cancel`` or nothing."""
        files = self.place.names(f"_penstock/{name}")
        asked = {file.rpartition("/")[2] for file in files} & {"pause", "cancel"}
        return "cancel" if "cancel" in asked else next(iter(asked), "")

    def tell(self, name: str, progress: Mapping[str, Any]) -> None:
        """Write how far a load is, for people."""
        content = json.dumps(progress).encode()
        self.place.put(f"_penstock/{name}/progress.json", content, lasting=False)

    def told(self, name: str) -> dict[str, Any]:
        """Return how far a load is, as its process last told; nothing when it never did."""
        told: dict[str, Any] = json.loads(
            self.place.get(f"_penstock/{name}/progress.json") or b"{}"
        )
        return told
