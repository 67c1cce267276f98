"""The parts of reference pages that are made from the code: field tables, lists of changes.

docs/reference/estate.md with markers ─fill─▶ the same page with its tables made anew

A page is written by hand around markers: ``<!-- fields: Topic -->`` to ``<!-- end -->`` holds the
fields of a kind of document, ``<!-- changes -->`` to ``<!-- end -->`` every kind of change.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from penstock.cli.main import app
from penstock.control import changes
from penstock.control.declare.schema import schema

PAGES = Path(__file__).resolve().parent.parent / "docs/reference"
_MARKED = re.compile(r"(<!-- (?:fields: (?P<path>\S+)|changes) -->\n).*?(<!-- end -->)", re.DOTALL)


def generate_pages(target: Path) -> None:
    """Write every page that has markers into ``target``, its tables made anew, and ``cli.md``."""
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text()
        if _MARKED.search(text):
            (target / page.name).write_text(_MARKED.sub(_fill, text))
    (target / "cli.md").write_text(_commands())


def _commands() -> str:
    command = get_command(app)
    text = get_docs_for_click(
        obj=command, ctx=Context(command), name="penstock", title="Commands, as --help tells them"
    )
    return text.rstrip() + "\n"


def _fill(match: re.Match[str]) -> str:
    rows = _fields(match["path"]) if match["path"] else _changes()
    return match[1] + "\n".join(rows) + "\n" + match[3]


def _fields(path: str) -> list[str]:
    """Return the table of a kind, or of a part of it as ``Kind.Part``."""
    kind, _, part = path.partition(".")
    whole = schema(kind)
    made = whole["$defs"][part] if part else whole
    rows = ["| field | | what |", "|---|---|---|"]
    for name, field in made["properties"].items():
        if name != "kind":
            need = "needed" if name in made.get("required", []) else _default(field)
            what = " ".join(field.get("description", "").split())
            choices = _choices(field, whole)
            rows.append(f"| `{name}` | {need} | {what}{choices} |")
    return rows


def _default(field: dict[str, Any]) -> str:
    return f"`{str(field['default']).lower()}`" if "default" in field else ""


def _choices(field: dict[str, Any], whole: dict[str, Any]) -> str:
    if "$ref" in field:
        field = whole["$defs"][field["$ref"].rpartition("/")[2]]
    values = [f"`{value}`" for value in field.get("enum", [])]
    return f" One of {', '.join(values)}." if values else ""


def _changes() -> list[str]:
    rows = [
        f"| `{change.kind}` | {(inspect.getdoc(change) or '').splitlines()[0]} |"
        for change in get_args(changes.Change)
    ]
    return ["| kind | what |", "|---|---|", *rows]
