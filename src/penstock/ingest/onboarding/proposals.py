"""A table's file as it is proposed: the same keys in YAML and in HOCON, each guess with its reason.

Proposal ─render─▶ text of a file that `penstock table check` takes

Pure. A proposal is for a person to read and change; what it rests on stands beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock.model import expressions, tables, types

__all__ = ["Column", "Proposal", "named", "render", "with_day"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./<>()-]*|[0-9]+[a-z]+")
_CONSTANTS = {"true", "false", "null", "yes", "no", "on", "off", "include"}
_RESERVED = re.compile(
    r"_(op|ot|sequence|absent|cluster|partition|offset|behind|change_type|commit_\w+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that is proposed, and what that rests on."""

    name: str
    type: str
    nullable: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a table's file is to say.

    Attributes:
        head: lines at the top: what the file was made from, and what to look at.
        decoder: the decoder's fields; only the format where it has no other.
        left_out: why fields are no columns, by name.
        notes: remarks by key of the file.
    """

    name: str
    topic: str
    owner: str
    head: Sequence[str] = ()
    mode: tables.TableMode = tables.TableMode.APPEND
    decoder: Mapping[str, str] = field(default_factory=lambda: {"format": "json"})
    columns: Sequence[Column] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    partition_by: Sequence[str] = ()
    primary_key: Sequence[str] = ()
    namespace: str = ""
    latency: str = "1m"
    notes: Mapping[str, str] = field(default_factory=dict)


def named(columns: Iterable[Column]) -> tuple[list[Column], dict[str, str]]:
    """Return the columns a table can have by their names, and why the others cannot be."""
    kept: dict[str, Column] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        if not _NAME.fullmatch(column.name):
            left_out[column.name] = "its name cannot be a column's"
        elif _RESERVED.fullmatch(column.name.lower()):
            left_out[column.name] = "Penstock keeps columns of this name"
        elif column.name.lower() in kept:
            left_out[column.name] = f"it differs from {kept[column.name.lower()].name} in case only"
        else:
            kept[column.name.lower()] = column
    return list(kept.values()), left_out


def with_day(proposal: Proposal) -> Proposal:
    """Return the proposal with its files laid out by day, and with the records' coordinates."""
    taken = {column.name.lower() for column in proposal.columns}
    times = [
        column.name
        for column in proposal.columns
        if not column.nullable and types.parse(column.type) is types.Primitive.TIMESTAMP
    ]
    source = times[0] if times else f"{expressions.PREFIX}.event_time"
    derived = {f"CAST({source} AS DATE)": ("day", "event_day")}
    derived |= {
        f"{expressions.PREFIX}.{name}": (name, f"kafka_{name}")
        for name in ("cluster", "partition", "offset")
    }
    chosen = {
        next(name for name in (*names, f"{names[-1]}_2") if name not in taken): expression
        for expression, names in derived.items()
    }
    day = next(iter(chosen))
    return replace(
        proposal,
        derived=chosen,
        partition_by=(day,),
        notes={**proposal.notes, "partition-by": f"one directory a {day}"},
    )


def render(proposal: Proposal, *, hocon: bool = False) -> str:
    """Return the text of the file."""
    write = _Hocon() if hocon else _Yaml()
    lines = [_remark(line) for line in proposal.head]
    for key, value in _fields(proposal):
        note = proposal.notes.get(key, "")
        match value:
            case str():
                lines.append(write.pair(key, value, note))
            case list():
                lines.append(write.pair(key, [*map(str, value)], note))
            case dict() if key == "decoder":
                lines.append(write.pair(key, value, note))
            case dict():
                lines += write.block(key, _entries(value))
    lines += [_remark(f"left out: {name}: {why}") for name, why in proposal.left_out.items()]
    return "\n".join(lines) + "\n"


def _fields(proposal: Proposal) -> Iterator[tuple[str, object]]:
    yield from (("kind", "Table"), ("name", proposal.name), ("topic", proposal.topic))
    yield from (("owner", proposal.owner), ("mode", str(proposal.mode)))
    decoder = dict(proposal.decoder)
    yield "decoder", decoder if len(decoder) > 1 else decoder["format"]
    for key, value in (
        ("columns", {column.name: column for column in proposal.columns}),
        ("derived", dict(proposal.derived)),
        ("partition-by", [*proposal.partition_by]),
        ("primary-key", [*proposal.primary_key]),
        ("namespace", proposal.namespace),
    ):
        if value:
            yield key, value
    yield "latency", proposal.latency


def _entries(
    block: Mapping[str, Column | str],
) -> Iterator[tuple[str, str | Mapping[str, str | bool], str]]:
    for name, value in block.items():
        if isinstance(value, str):
            yield name, value, ""
        elif value.nullable:
            yield name, value.type, value.note
        else:
            yield name, {"type": value.type, "nullable": False}, value.note


class _Yaml:
    """How YAML is written."""

    between = ": "
    within = ": "

    def pair(self, key: str, value: object, note: str) -> str:
        text = f"{_text(key)}{self.between}{_value(value, self.within)}"
        return f"{text}  {_remark(note)}" if note else text

    def block(self, key: str, entries: Iterable[tuple[str, object, str]]) -> Iterator[str]:
        yield f"{key}:"
        for name, value, note in entries:
            yield f"  {self.pair(name, value, note)}"


class _Hocon(_Yaml):
    """How HOCON is written."""

    between = " = "
    within = " = "

    def block(self, key: str, entries: Iterable[tuple[str, object, str]]) -> Iterator[str]:
        yield f"{key} {{"
        for name, value, note in entries:
            yield f"  {self.pair(name, value, note)}"
        yield "}"


def _remark(text: str) -> str:
    """Return a comment; names that others gave must not begin another line."""
    return f"# {' '.join(repr(text)[1:-1].split())}"


def _value(value: object, within: str) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_text, value))}]"
        case dict():
            pairs = (f"{_text(k)}{within}{_value(v, within)}" for k, v in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            raise TypeError(f"{type(value).__name__} stands in no file")


def _text(text: str) -> str:
    """Return text as both languages read it: in quotes unless it is one plain word."""
    if _PLAIN.fullmatch(text) and text.lower() not in _CONSTANTS:
        return text
    return json.dumps(text, ensure_ascii=False)
