"""The words of a HOCON text and where they stand: what the parser itself does not keep.

text ─scan─▶ Scan(lines by location; the same text with every word in quotes), or the first fault

pyhocon builds the tree, but forgets lines, reads files and the network where a text says so, fills
gaps from the environment, and takes ``5 minutes`` for a span of time wherever it stands. So a text
is read here first: what it must not have is refused with its line, and what pyhocon is given has
comments taken out and words in quotes, which leaves it nothing to take for anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.control.declare.places import Loc

__all__ = ["Scan", "Stop", "scan"]

_BLANK = re.compile(r"[ \t\r]*(?:(?:#|//)[^\n]*)?")
_KEY = re.compile(r"[A-Za-z0-9._-]+(?:[ \t]+[A-Za-z0-9._-]+)*")
_TRIPLE = re.compile(r'""".*?"*"""', re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_SUBSTITUTION = re.compile(r"\$\{(?P<optional>\??)\s*(?P<name>[^{}\"\n]+?)\s*\}")
_WORD = re.compile(r"(?:(?!//)[^`+?!@*&^\"\[{\s\]}#,=$\\]|(?<=:)//)+")
_LITERAL = re.compile(
    r"true|false|null|-?(?:[0-9]{1,18}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)
_INCLUDE = re.compile(r"include(?![\w.-])", re.IGNORECASE)
_QUOTES = 'Put the text in double quotes: it holds one of + ? ! @ * & ^ ` $ = : # , [ ] { } \\ ".'


class Stop(Exception):
    """What ends the reading of a text: a line, what is wrong, what to do."""

    def __init__(self, line: int, what: str, next_step: str) -> None:
        """Keep the parts of a fault."""
        super().__init__(what)
        self.line, self.what, self.next_step = line, what, next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a text holds.

    Attributes:
        text: for pyhocon; each line is where it was.
        lines: 1-based, of every key and element by its location.
    """

    text: str
    lines: dict[Loc, int]


def scan(text: str) -> Scan:
    """Return the text with the line of each of its places.

    Raises:
        Stop: at the first thing that is no HOCON, or is not allowed in an estate.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.run()
    scanner.check_substitutions()
    return Scan(text="".join(scanner.out), lines=scanner.lines)


@dataclass(slots=True)
class _Frame:
    """An open object or list.

    Attributes:
        index: of the element a list is at.
        filled: whether something stands at the current key or index.
    """

    close: str
    loc: Loc
    line: int
    key: Loc = ()
    index: int = 0
    filled: bool = False

    @property
    def here(self) -> Loc:
        return (*self.loc, *self.key) if self.close != "]" else (*self.loc, self.index)


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    line: int = 1
    out: list[str] = field(default_factory=list)
    lines: dict[Loc, int] = field(default_factory=dict)
    open: list[_Frame] = field(default_factory=list)
    substitutions: list[tuple[str, Loc, int, int]] = field(default_factory=list)
    assigned: dict[Loc, int] = field(default_factory=dict)

    def run(self) -> None:
        self.skip(newlines=True)
        self.lines[()] = self.line
        braced = self.take("{")
        self.open.append(_Frame(close="}" if braced else "", loc=(), line=self.line))
        while self.open:
            frame = self.open[-1]
            if frame.close == "]" or frame.key:
                self.value(frame)
            else:
                self.key(frame)
        self.skip(newlines=True)
        if self.at < len(self.text):
            raise self.stop(f"{self.near()} stands after the last brace", "Remove one brace.")

    def key(self, frame: _Frame) -> None:
        """Read a key and what parts it from its value, or the end of the object."""
        self.skip(newlines=True, commas=True)
        if self.at >= len(self.text) or (frame.close and self.text[self.at] == frame.close):
            self.shut(frame)
            return
        line, path, text = self.line, *self.path()
        self.skip()
        if _INCLUDE.match(text) and self.peek() in {'"', "("}:
            self.refuse_include()
        self.skip(newlines=True)
        if self.text.startswith("+=", self.at):
            raise self.stop(f"{text}: += is read in several ways", "Write the whole list.")
        if self.peek() != "{" and not (self.take("=") or self.take(":")):
            what = f"{text}: is followed by {self.near()} in place of = or {{"
            raise self.stop(what, "Write key = value.")
        frame.key, frame.filled = path, False
        for depth in range(1, len(path) + 1):
            self.lines.setdefault((*frame.loc, *path[:depth]), line)
        self.lines[frame.here] = line
        self.assigned[frame.here] = self.assigned.get(frame.here, 0) + 1
        self.skip(newlines=True)

    def path(self) -> tuple[Loc, str]:
        """Take a key; with dots it is a path."""
        if quoted := _QUOTED.match(self.text, self.at):
            self.take(quoted.group())
            return (quoted.group()[1:-1],), quoted.group()
        word = _KEY.match(self.text, self.at)
        if word is None or "" in word.group().split("."):
            raise self.stop(f"{self.near()} is no key", "Write key = value, the key in quotes.")
        self.take(word.group())
        return tuple(word.group().split(".")), word.group()

    def value(self, frame: _Frame) -> None:
        """Read up to the end of the value, or to a bracket that opens within it."""
        parts: list[tuple[str, str]] = []
        while True:
            blank = self.blank()
            after = self.peek()
            if after in {"", "\n", ",", "}", "]"}:
                if frame.close == "]" and [part for _, part in parts] == ['""']:
                    raise self.stop("an empty text says nothing in a list", "Remove it.")
                self.put(parts)
                self.end_value(frame, after)
                return
            self.lines.setdefault(frame.here, self.line)
            frame.filled = True
            if after in {"{", "["}:
                self.put(parts)
                self.take(after)
                close = "}" if after == "{" else "]"
                self.open.append(_Frame(close=close, loc=frame.here, line=self.line))
                return
            kind, part = self.part(frame)
            if kind == "word" and parts and parts[-1][0] == "word":
                parts[-1] = ("word", f"{parts[-1][1]}{blank}{part}")
            else:
                parts += [("blank", blank), (kind, part)] if parts else [(kind, part)]

    def part(self, frame: _Frame) -> tuple[str, str]:
        """Take one piece of a value."""
        for pattern in (_TRIPLE, _QUOTED):
            if found := pattern.match(self.text, self.at):
                return "text", self.pass_by(found.group())
        if found := _SUBSTITUTION.match(self.text, self.at):
            before = self.assigned.get(tuple(found["name"].split(".")), 0)
            self.substitutions.append((found["name"], frame.here, self.line, before))
            return "text", self.pass_by(found.group())
        found = _WORD.match(self.text, self.at)
        if found is None:
            if self.peek() == '"':
                raise self.stop("a quote is left open", "Close it on the same line.")
            raise self.stop(f"{self.near()} cannot stand here without quotes", _QUOTES)
        if _INCLUDE.match(found.group()):
            self.refuse_include()
        return "word", self.pass_by(found.group())

    def put(self, parts: list[tuple[str, str]]) -> None:
        """Write the pieces of a value for pyhocon, the words in quotes."""
        for kind, part in parts:
            plain = kind != "word" or (len(parts) == 1 and _LITERAL.fullmatch(part))
            self.out.append(part if plain else f'"{part}"')

    def end_value(self, frame: _Frame, after: str) -> None:
        """Go on behind a value: to the next key or element, or out of the bracket."""
        if frame.close != "]":
            if not frame.filled:
                name = ".".join(map(str, frame.key))
                raise self.stop(f"{name}: has no value", 'Write one, or "" for none.')
            frame.key = ()
        elif frame.filled:
            frame.index, frame.filled = frame.index + 1, False
        if after == "\n" or (after == "," and frame.close == "]"):
            self.take(after)
        elif frame.close == "]":
            self.shut(frame)

    def shut(self, frame: _Frame) -> None:
        """Leave an object or a list."""
        if frame.close and not self.take(frame.close):
            if self.at >= len(self.text):
                opened = "{" if frame.close == "}" else "["
                self.line = frame.line
                raise self.stop(f"{opened} is left open", f"Close it with {frame.close}.")
            raise self.stop(f"{self.near()} stands in place of {frame.close}", "Correct one.")
        self.open.pop()

    def check_substitutions(self) -> None:
        """Refuse what would be looked up outside of the file."""
        for name, here, line, before in self.substitutions:
            loc = tuple(name.split("."))
            within_itself = here[: len(loc)] == loc
            if loc not in self.lines or (within_itself and before < 2):  # noqa: PLR2004 - itself, and one above
                raise Stop(
                    line,
                    f"${{{name}}} is not written in this file, and an estate does not read the "
                    "environment: it must be the same everywhere",
                    f"Write the value, or set {name} in a block called let.",
                )

    def refuse_include(self) -> None:
        raise self.stop(
            "include reads another file, and a file of an estate is judged by itself",
            "Write the values here; several documents of one file can share a block called let.",
        )

    def blank(self) -> str:
        """Skip spaces and a comment in a line; return a space if there was any."""
        found = _BLANK.match(self.text, self.at)
        skipped = found.group() if found else ""
        self.at += len(skipped)
        return " " if skipped else ""

    def skip(self, *, newlines: bool = False, commas: bool = False) -> None:
        """Skip what means nothing here."""
        while True:
            self.out.append(self.blank())
            if not ((newlines and self.take("\n")) or (commas and self.take(","))):
                return

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        """Go behind the text and write it, if it stands here."""
        if not text or not self.text.startswith(text, self.at):
            return False
        self.out.append(self.pass_by(text))
        return True

    def pass_by(self, text: str) -> str:
        self.at += len(text)
        self.line += text.count("\n")
        return text

    def near(self) -> str:
        found = next(self.words(), "the end of the file")
        return found if found.startswith("the ") else repr(found)

    def words(self) -> Iterator[str]:
        rest = self.text[self.at :].lstrip()
        if rest:
            yield re.split(r"[\s,={\[\]}]", rest, maxsplit=1)[0][:20] or rest[0]

    def stop(self, what: str, next_step: str) -> Stop:
        return Stop(self.line, f"this is not HOCON: {what}", next_step)
