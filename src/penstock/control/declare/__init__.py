"""Estate files in; out comes an `Estate`, or every fault at once.

paths ─walk─▶ files ─read─▶ documents ─validate─▶ entries ─catalog─▶ ─resolve─▶ Estate
                       └──────────── faults: file, line, next step ────────────┘

Nothing here looks at a cluster or at a store: what is declared is judged by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penstock.control.declare.catalog import catalog
from penstock.control.declare.documents import AnyDocument
from penstock.control.declare.estate import Estate, EstateFile
from penstock.control.declare.reader import read, walk
from penstock.control.declare.resolver import resolve
from penstock.control.declare.validation import Entry, validate
from penstock.errors import ConfigError, Fault

__all__ = ["Estate", "EstateFile", "load", "parse"]


def load(paths: Sequence[Path]) -> Estate:
    """Return the estate that files and directories declare.

    Raises:
        ConfigError: with every fault found.
    """
    return parse(walk(paths))


def parse(files: Sequence[EstateFile]) -> Estate:
    """Return the estate that files declare, whatever their order.

    Raises:
        ConfigError: with every fault found, by file and line.
    """
    readings = [read(file) for file in files]
    documents = [document for reading in readings for document in reading.documents]
    faults: list[Fault] = [fault for reading in readings for fault in reading.faults]
    complete = all(reading.complete for reading in readings)
    entries: list[Entry[AnyDocument]] = []
    for document in documents:
        entry, found = validate(document)
        faults += found
        if entry:
            entries.append(entry)
    known, twice = catalog(entries, documents, complete=complete)
    estate, wrong = resolve(known)
    faults += [*twice, *wrong]
    if faults:
        every = sorted(set(faults))
        count = "1 fault" if len(every) == 1 else f"{len(every)} faults"
        raise ConfigError(f"The estate has {count}; nothing was done.", faults=every)
    return estate
