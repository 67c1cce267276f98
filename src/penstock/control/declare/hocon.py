"""HOCON files to the same documents that YAML gives: the one door to pyhocon.

EstateFile ─scan─▶ lines ─pyhocon─▶ tree ─▶ Document…, or one fault with its line

One file is one document, its keys at the top: ``kind = Table``. Several are a list:
``documents = [{kind = Table, …}, …]``. What stands in a block ``let`` is no document: it is there
for substitutions, ``owner = ${let.owner}``. Never reads another file nor the environment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pyparsing
from pyhocon import ConfigException, ConfigTree  # type: ignore[import-untyped]
from pyhocon.config_parser import ConfigParser  # type: ignore[import-untyped]
from pyhocon.config_tree import NoneValue  # type: ignore[import-untyped]
from pyhocon.exceptions import ConfigSubstitutionException  # type: ignore[import-untyped]

from penstock.control.declare.estate import EstateFile
from penstock.control.declare.hocon_scan import Scan, Stop, scan
from penstock.control.declare.places import Document, Loc

__all__ = ["SUFFIXES", "read_hocon"]

SUFFIXES = {".conf", ".hocon"}
_BLOCK = "let"
_LIST = "documents"
_WHITESPACE = " \n\t\r"

# pyhocon sets a default of pyparsing's for as long as it parses, and after an error for ever.
_parsing = threading.Lock()


class _Parser(ConfigParser):  # type: ignore[misc]
    """pyhocon without the environment."""

    @classmethod
    def _resolve_variable(cls, config: Any, substitution: Any) -> tuple[bool, Any]:
        try:
            return True, config.get(substitution.variable)
        except ConfigException as error:
            what = f"${{{substitution.variable}}} has no value"
            raise ConfigSubstitutionException(what) from error


def read_hocon(file: EstateFile) -> list[Document]:
    """Return the file's documents.

    Raises:
        Stop: with what is wrong, and the line of it.
    """
    found = scan(file.content)
    content = _parse(found.text)
    if not content:
        return []
    if _LIST not in content:
        content.pop(_BLOCK, None)
        lines = {loc: line for loc, line in found.lines.items() if loc[:1] != (_BLOCK,)}
        return [Document(file=file.path, content=content, lines=lines)]
    return list(_documents(file, content, found))


def _documents(file: EstateFile, content: Mapping[str, Any], found: Scan) -> Iterator[Document]:
    for key in content:
        if key not in {_LIST, _BLOCK}:
            what = f"{key}: stands beside {_LIST}"
            raise Stop(found.lines.get((key,), 0), what, f"Put it into one of them, or {_BLOCK}.")
    listed = content[_LIST]
    if not isinstance(listed, list):
        raise Stop(
            found.lines.get((_LIST,), 0), f"{_LIST}: is no list", f"Write {_LIST} = [{{…}}]."
        )
    for number, one in enumerate(listed):
        base: Loc = (_LIST, number)
        line = found.lines.get(base, found.lines.get((_LIST,), 0))
        if not isinstance(one, dict):
            raise Stop(line, "a document must be a mapping", "Begin it with { kind = …")
        lines = {loc[2:]: at for loc, at in found.lines.items() if loc[:2] == base}
        yield Document(file=file.path, content=one, lines={(): line, **lines})


def _parse(text: str) -> dict[str, Any]:
    """Return the plain values of a text that was scanned."""
    try:
        with _parsing:
            try:
                tree = _Parser.parse(text)
            finally:
                pyparsing.ParserElement.set_default_whitespace_chars(_WHITESPACE)
    except pyparsing.ParseBaseException as error:
        what = f"this is not HOCON: {error.line.strip()[:40]!r}"
        step = "Correct the line, or the bracket or quote left open before it."
        raise Stop(error.lineno, what, step) from error
    except RecursionError as error:
        what = "this is not HOCON: there are brackets within brackets without end"
        raise Stop(0, what, "Correct the brackets.") from error
    except ConfigException as error:
        what = f"this is not HOCON: {error}"
        raise Stop(
            0, what, "Correct the value, or the substitution that goes in a circle."
        ) from error
    if not isinstance(tree, ConfigTree):
        raise Stop(1, "a document must be a mapping", "Begin it with kind = …")
    plain: dict[str, Any] = _plain(tree.as_plain_ordered_dict())
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, NoneValue):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
