"""Paths to files, files to documents of plain values that remember their lines.

paths ─walk─▶ EstateFile… ─read─▶ Document…, and the faults of YAML itself
                                   (HOCON: `.conf`, `.hocon`, see `hocon`)

It reads the parser's events rather than a tree: half the time for ten thousand files, and duplicate
keys and every line are in plain sight. Never follows an alias: TopicProfile is the way to share,
and an alias inside itself has no end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from penstock.control.declare import hocon
from penstock.control.declare.estate import EstateFile
from penstock.control.declare.hocon_scan import Stop
from penstock.control.declare.places import Document, Loc
from penstock.errors import ConfigError, Fault

__all__ = ["Reading", "read", "walk"]

_SUFFIXES = {".yaml", ".yml", *hocon.SUFFIXES}
_CONSTANTS = {
    text: value
    for value, texts in {
        None: ("", "~", "null", "Null", "NULL"),
        True: ("true", "True", "TRUE"),
        False: ("false", "False", "FALSE"),
    }.items()
    for text in texts
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")  # longer ones are no count of anything
_FLOAT = re.compile(r"[-+]?(?=.*[.eE])(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def walk(paths: Sequence[Path]) -> list[EstateFile]:
    """Return the estate files of the paths: files as they are, directories searched.

    Raises:
        ConfigError: with a fault for each path that is not there or not text.
    """
    files: dict[Path, EstateFile] = {}
    faults: list[Fault] = []
    for path in (found for given in paths for found in _expand(given)):
        try:
            files[path.resolve()] = EstateFile(path=str(path), content=path.read_text("utf-8"))
        except OSError as error:
            faults.append(
                _fault(
                    str(path), f"{error.strerror or error}", "Give a file or a directory of files."
                )
            )
        except UnicodeDecodeError:
            faults.append(_fault(str(path), "it is not UTF-8 text", "Save it as UTF-8."))
    if faults:
        raise ConfigError("The estate cannot be read; nothing was done.", faults=faults)
    return list(files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a file holds.

    Attributes:
        faults: what is wrong with its YAML or HOCON.
        complete: whether no document had to be left out.
    """

    documents: Sequence[Document]
    faults: Sequence[Fault]
    complete: bool


def read(file: EstateFile) -> Reading:
    """Return the file's documents; with broken YAML, those before the break."""
    if Path(file.path).suffix in hocon.SUFFIXES:
        return _read_hocon(file)
    builder = _Builder(file.path)
    try:
        for event in YAML(typ="safe", pure=True).parse(file.content):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        builder.break_off(
            mark.line + 1 if mark else 0,
            f"this is not YAML: {error.problem or error.context or error}",
            "Correct the line, or the bracket or quote left open before it.",
        )
    except YAMLError as error:
        builder.break_off(
            0, f"this is not YAML: {error}", "Remove the characters YAML does not take."
        )
    return Reading(documents=builder.documents, faults=builder.faults, complete=builder.complete)


def _read_hocon(file: EstateFile) -> Reading:
    try:
        return Reading(documents=hocon.read_hocon(file), faults=(), complete=True)
    except Stop as stop:
        fault = Fault(file=file.path, line=stop.line, what=stop.what, next_step=stop.next_step)
        return Reading(documents=(), faults=[fault], complete=False)


def _expand(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for found in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
        if found.suffix in _SUFFIXES and not hidden and found.is_file():
            yield found


class _Builder:
    """Puts documents together from events; a stack of open mappings and sequences."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[Document] = []
        self.faults: list[Fault] = []
        self.complete = True
        self._start_document()

    def fault(self, line: int, what: str, next_step: str) -> None:
        if not self._broken:
            self.faults.append(Fault(file=self.file, line=line, what=what, next_step=next_step))

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        match event:
            case DocumentStartEvent():
                self._start_document()
            case MappingStartEvent():
                self._open({}, line)
            case SequenceStartEvent():
                self._open([], line)
            case MappingEndEvent() | SequenceEndEvent():
                self._close()
            case ScalarEvent():
                self._scalar(event, line)
            case AliasEvent():
                self.break_off(line, f"*{event.anchor} is an alias", "Write the value out here.")
            case _:
                pass

    def break_off(self, line: int, what: str, next_step: str) -> None:
        """Tell a fault after which the rest of the document cannot be understood."""
        self.fault(line, what, next_step)
        self._broken = True
        self.complete = False

    def _start_document(self) -> None:
        self._broken = False
        self._open_values: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        self._loc: Loc = ()
        self._lines: dict[Loc, int] = {}

    def _open(self, value: dict[str, Any] | list[Any], line: int) -> None:
        self._loc = self._place(value, line)
        self._open_values.append(value)
        self._keys.append(None)

    def _close(self) -> None:
        value = self._open_values.pop()
        self._keys.pop()
        self._loc = self._loc[:-1]
        if self._open_values or self._broken:
            return
        if isinstance(value, dict):
            self.documents.append(Document(file=self.file, content=value, lines=self._lines))
        else:
            self.fault(self._lines[()], "a document must be a mapping", "Begin it with kind: …")

    def _scalar(self, event: ScalarEvent, line: int) -> None:
        if self._open_values and isinstance(self._open_values[-1], dict) and self._keys[-1] is None:
            self._key(event.value, line)
        elif self._open_values:
            self._place(_resolve(event.value) if event.implicit[0] else event.value, line)
        elif event.value:
            self.fault(line, f"{event.value[:40]!r} is not a document", "Begin it with kind: …")

    def _key(self, key: str, line: int) -> None:
        loc = (*self._loc, key)
        if loc in self._lines:
            self.fault(
                line, f"{key}: is given twice, first on line {self._lines[loc]}", "Remove one."
            )
        self._lines[loc] = line
        self._keys[-1] = key

    def _place(self, value: Any, line: int) -> Loc:
        """Put the value where it belongs; return its location."""
        if not self._open_values:
            self._lines[()] = line
            return ()
        parent = self._open_values[-1]
        if isinstance(parent, list):
            loc: Loc = (*self._loc, len(parent))
            parent.append(value)
            self._lines[loc] = line
            return loc
        key = self._keys[-1]
        if key is None:
            self.break_off(line, "a key must be text", "Write a plain word before the colon.")
            key = "?"
        self._keys[-1] = None
        parent[key] = value
        return (*self._loc, key)


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar, by YAML 1.2's core schema in decimal."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _fault(file: str, what: str, next_step: str) -> Fault:
    return Fault(file=file, line=0, what=what, next_step=next_step)
