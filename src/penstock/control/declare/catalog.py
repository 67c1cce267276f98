"""The typed documents of an estate, found by name; and the names that are said twice.

Entry… ─catalog─▶ Catalog(clusters, profiles, topics, tables, connectors) ─▶ resolver

A name whose document has a fault is still known here as written, so that one mistake is told once
and not again at every document that refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from penstock.control.declare.connector_documents import ConnectorDocument
from penstock.control.declare.documents import (
    AnyDocument,
    ClusterDocument,
    TopicDocument,
    TopicProfileDocument,
)
from penstock.control.declare.layers import Layer
from penstock.control.declare.places import Document, Loc, nearest
from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.validation import Entry
from penstock.errors import Fault

__all__ = ["Catalog", "catalog"]

D = TypeVar("D", ClusterDocument, TopicProfileDocument)
M = TypeVar("M", bound=AnyDocument)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Every typed document.

    Attributes:
        written: names by kind, also of documents with a fault.
        complete: whether every file could be read; else a name not found proves nothing.
    """

    clusters: Mapping[str, Entry[ClusterDocument]]
    profiles: Mapping[str, Entry[TopicProfileDocument]]
    topics: Sequence[Entry[TopicDocument]]
    tables: Sequence[Entry[TableDocument]]
    connectors: Sequence[Entry[ConnectorDocument]]
    written: Mapping[str, set[str]]
    complete: bool

    def unknown(self, entry: Entry[AnyDocument], loc: Loc, *, kind: str, name: str) -> list[Fault]:
        """Return a fault unless a document of the kind has the name."""
        known = self.written.get(kind, set())
        if name in known or not self.complete:
            return []
        what = f"{loc[0]}: no {kind} is called {name!r}"
        step = nearest(name, known) or f"Add a document with kind: {kind}, name: {name}."
        return [entry.document.fault(loc, what, step)]

    def is_sound(self, profile: str | None) -> bool:
        """Tell whether the profile and all it extends could be read without a fault."""
        seen: set[str] = set()
        while profile is not None:
            entry = self.profiles.get(profile)
            if entry is None or entry.partial or profile in seen:
                return False
            seen.add(profile)
            profile = entry.model.extends
        return True

    def profile_layers(self, name: str | None) -> list[Layer]:
        """Return the layers of a profile and what it extends, base first; a cycle ends it."""
        chain: list[Layer] = []
        seen: set[str] = set()
        while name is not None and name in self.profiles and name not in seen:
            seen.add(name)
            entry = self.profiles[name]
            chain.insert(0, Layer(document=entry.document, loc=(), settings=entry.model))
            name = entry.model.extends
        return chain


def catalog(
    entries: Iterable[Entry[AnyDocument]], documents: Iterable[Document], *, complete: bool
) -> tuple[Catalog, list[Fault]]:
    """Return the catalog of the entries, and faults for clusters and profiles said twice.

    Args:
        entries: typed documents.
        documents: every document read, also those that have faults.
        complete: whether every file could be read to its end.
    """
    ordered = sorted(entries, key=lambda e: (e.document.file, e.document.line()))
    clusters, twice = _index(_of(ordered, ClusterDocument))
    profiles, more = _index(_of(ordered, TopicProfileDocument))
    written: dict[str, set[str]] = {}
    for document in documents:
        kind, name = document.content.get("kind"), document.content.get("name")
        if isinstance(kind, str) and isinstance(name, str):
            written.setdefault(kind, set()).add(name)
    made = Catalog(
        clusters=clusters,
        profiles=profiles,
        topics=_of(ordered, TopicDocument),
        tables=_of(ordered, TableDocument),
        connectors=_of(ordered, ConnectorDocument),
        written=written,
        complete=complete,
    )
    return made, [*twice, *more, *_check_extends(made)]


def _of(entries: Iterable[Entry[AnyDocument]], model: type[M]) -> list[Entry[M]]:
    return [
        Entry(document=entry.document, model=entry.model, partial=entry.partial)
        for entry in entries
        if isinstance(entry.model, model)
    ]


def _index(entries: Iterable[Entry[D]]) -> tuple[dict[str, Entry[D]], list[Fault]]:
    index: dict[str, Entry[D]] = {}
    faults: list[Fault] = []
    for entry in entries:
        name, kind = entry.model.name, entry.model.kind
        if name in index:
            what = f"{kind} {name} is declared twice, first at {index[name].document.place()}"
            faults.append(
                entry.document.fault(("name",), what, "Remove one of them, or rename it.")
            )
        index.setdefault(name, entry)
    return index, faults


def _check_extends(made: Catalog) -> list[Fault]:
    faults: list[Fault] = []
    for name, entry in made.profiles.items():
        base = entry.model.extends
        if base is None:
            continue
        faults += made.unknown(entry, ("extends",), kind="TopicProfile", name=base)
        cycle = _cycle(made, name)
        if cycle:
            what = f"extends: goes in a circle: {' → '.join(cycle)}"
            faults.append(entry.document.fault(("extends",), what, "Take one extends: out."))
    return faults


def _cycle(made: Catalog, start: str) -> list[str]:
    """Return the way from the profile back to itself, or nothing."""
    way = [start]
    while (entry := made.profiles.get(way[-1])) and entry.model.extends:
        if entry.model.extends == start:
            return [*way, start]
        if entry.model.extends in way:
            return []
        way.append(entry.model.extends)
    return []
