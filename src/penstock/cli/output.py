"""How commands speak: data on stdout, everything else on stderr.

    value ─print_json─▶ stdout      progress, questions, errors ─console─▶ stderr

So ``penstock … --json | jq`` always works, whatever is told to the person beside it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = [
    "HomeOption",
    "JsonOption",
    "YesOption",
    "confirm",
    "console",
    "print_json",
    "table_console",
]

console = Console(stderr=True, highlight=False)
"""For people: progress, questions, errors."""

table_console = Console(highlight=False)
"""For people who asked for data without ``--json``."""

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="PENSTOCK_HOME",
        help="Directory that holds all state of this Penstock.",
        show_default=".penstock",
    ),
]
DEFAULT_HOME = Path(os.environ.get("PENSTOCK_HOME", ".penstock"))

JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", envvar="PENSTOCK_YES", help="Do not ask.")]


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, indented for a terminal and in one line for a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, indent=indent, default=str) + "\n")
    sys.stdout.flush()


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless told ``--yes``.

    Raises:
        typer.Exit: code 1, when the answer is no or there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        console.print(f"{question} There is no terminal to ask on: say --yes to go on.")
        raise typer.Exit(1)
    if not typer.confirm(question, err=True):
        console.print("Nothing was done.")
        raise typer.Exit(1)
