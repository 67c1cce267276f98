"""Where tables are: every path is one table's, and no table lies within another.

    tables.Table… with their entries ─check_paths─▶ faults

Delta's vacuum deletes what it does not know below a table's path, so what lies there must be its
own. Its own hidden directories, as ``_dead_letters``, are.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from penstock.control.declare.places import Loc
from penstock.control.declare.table_documents import TableDocument
from penstock.control.declare.validation import Entry
from penstock.errors import Fault
from penstock.model import tables

__all__ = ["Located", "check_paths", "check_written", "split"]

_SCHEMES = {"", "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "file", "hdfs", "memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A table and the document that declares it."""

    table: tables.Table
    entry: Entry[TableDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A path that is written to, and who writes there."""

    path: str
    located: Located
    loc: Loc
    what: str


def split(path: str) -> SplitResult | None:
    """Return the parts of a path or URL; None for what is neither."""
    try:
        return urlsplit(path) if "://" in path else SplitResult("", "", path, "", "")
    except ValueError:
        return None


def check_written(entry: Entry[TableDocument]) -> Iterator[Fault]:
    """Yield the document's paths that no table can be at, or that hold a secret."""
    model, document = entry.model, entry.document
    for loc, path in (
        (("path",), model.path),
        (("archive",), model.archive),
        (("bootstrap", "snapshot"), model.bootstrap.snapshot),
        (("dead-letters", "path"), model.dead_letters.path),
        (("decoder", "descriptor"), model.decoder.descriptor),
    ):
        field = ".".join(loc)
        address = split(path)
        if address is None:
            yield document.fault(loc, f"{field}: {path!r} is no path", "Write a path or a URL.")
            continue
        web = {"http", "https"} if field == "decoder.descriptor" else set()
        if address.scheme not in _SCHEMES | web:
            what = f"{field}: {address.scheme}:// is no store that can be reached"
            yield document.fault(loc, what, "Write a path, or a URL of s3://, gs:// or abfss://.")
        elif address.username and address.password:
            what = f"{field}: holds a password, which a file must not"
            yield document.fault(loc, what, "Take it out, and give it to the process.")
        elif not address.scheme and ".." in path.split("/"):
            what = f"{field}: {path} leaves the directory it is below"
            yield document.fault(loc, what, "Write it without '..'.")


def check_paths(located: Sequence[Located]) -> Iterator[Fault]:
    """Yield paths that two tables share, or of which one lies within the other."""
    places = sorted(
        (place for one in located for place in _places(one)),
        key=lambda place: [*place.path.split("/")],
    )
    above: list[_Place] = []
    told: set[frozenset[str]] = set()
    for place in places:
        while above and not _is_within(place.path, above[-1].path):
            above.pop()
        outer = next((one for one in reversed(above) if not _is_hidden(place, one)), None)
        # Where two tables are in one place, so are all that lies beside them.
        pair = frozenset(one.located.table.ident for one in (place, outer) if one)
        if outer and pair not in told:
            told.add(pair)
            yield _clash(place, outer)
        above.append(place)


def _places(located: Located) -> Iterator[_Place]:
    table = located.table
    letters = table.dead_letters.path or f"{table.path.rstrip('/')}_dead_letters"
    yield _Place(path=_normal(table.path), located=located, loc=("path",), what="the table")
    yield _Place(
        path=_normal(letters),
        located=located,
        loc=("dead-letters", "path"),
        what="the dead letters",
    )
    if table.archive:
        yield _Place(
            path=_normal(table.archive), located=located, loc=("archive",), what="the archive"
        )


def _clash(place: _Place, outer: _Place) -> Fault:
    # Of two that clash, the later by file and line is the one at fault.
    first, second = sorted((place, outer), key=_order)
    table, other = second.located.table, first.located.table
    relation = "at the same path as" if place.path == outer.path else "within, or around,"
    what = f"table {table.ident}: {second.what} would be {relation} {first.what} of {other.ident}"
    document = second.located.entry.document
    where = first.located.entry.document.place(first.loc)
    return document.fault(
        second.loc, f"{what}: {second.path} is taken, by {where}", "Give it a path of its own."
    )


def _order(place: _Place) -> tuple[str, int, int]:
    document = place.located.entry.document
    return (document.file, document.line(), len(place.loc) + (place.loc != ("path",)))


def _is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}/")


def _is_hidden(place: _Place, outer: _Place) -> bool:
    """Tell whether the place is in a hidden directory of its own table, or archives are shared."""
    if place.what == outer.what == "the archive" and place.path == outer.path:
        return place.located.table.topic == outer.located.table.topic
    inner = place.path[len(outer.path) + 1 :]
    return place.located is outer.located and inner.startswith("_")


def _normal(path: str) -> str:
    address = split(path)
    if address is None or not address.scheme:
        return posixpath.normpath(path)
    scheme = {"s3a": "s3"}.get(address.scheme, address.scheme)
    return f"{scheme}://{address.netloc}{posixpath.normpath(address.path or '/')}".rstrip("/")
