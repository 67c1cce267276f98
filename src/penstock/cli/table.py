"""`penstock table`: look at the tables of the lake."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from penstock.cli.output import DEFAULT_HOME, HomeOption, JsonOption, print_json, table_console
from penstock.errors import ConfigError, NotReady
from penstock.ingest.settings import Settings
from penstock.model import tables, types

__all__ = ["register"]

_LOOK_EVERY_S = 0.5
_STYLES = {"running": "green", "waiting": "yellow", "stopped": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="Look at the tables of the lake.", no_args_is_help=True)
    family.command("list", epilog="Example: penstock table list --json")(list_tables)
    family.command("status", epilog="Example: penstock table status")(status)
    family.command("show", epilog="Example: penstock table show host-metrics --rows 20")(show)
    app.add_typer(family, name="table")


def list_tables(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the declared tables: topic, columns, where they are.

    Exit codes: 0 listed, 4 no control plane answers, and none ever told this home its tables.
    """
    declared = _declared(home)
    if as_json:
        print_json(
            [
                {
                    "name": table.name,
                    "environment": table.environment,
                    "topic": table.topic,
                    "owner": table.owner,
                    "path": str(_location(home, table)),
                    "columns": {c.name: c.type for c in table.columns},
                    "derived": {d.name: d.expression for d in table.derived},
                    "partition_by": list(table.partition_by),
                    "latency_ms": table.latency_ms,
                }
                for table in declared
            ]
        )
        return
    _print_table(
        ("table", "environment", "topic", "owner", "columns", "partitioned by", "path"),
        [
            (
                table.name,
                table.environment,
                table.topic,
                table.owner,
                str(len(table.columns) + len(table.derived)),
                ", ".join(table.partition_by),
                str(_location(home, table)),
            )
            for table in declared
        ],
        empty="No table is declared. Write a file of kind Table, then: penstock apply.",
    )


def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Tell how far the ingest process is with each table.

    Exit codes: 0 told, also when ingest has never run.
    """
    from penstock.ingest import statuses

    known = statuses.read(Settings(home=home).state)
    if as_json:
        print_json(known)
        return
    _print_table(
        ("table", "state", "rows", "rows/s", "lag", "last commit", "error"),
        [
            (
                ident,
                f"[{_STYLES[s['state']]}]{s['state']}",
                f"{s['rows']:,}",
                f"{s['rows_per_s']:,}",
                f"{s['lag_records']:,}",
                s["committed_at"][:19].replace("T", " "),
                escape(s["error"]),
            )
            for ident, s in known.items()
        ],
        empty="No ingest process has run in this home. Start one: penstock ingest.",
    )


def show(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 10,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Show the records that could not be rows.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the first row of a new table.")
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Print a table's newest rows, newest first. Reads only the newest files.

    Exit codes: 0 shown, 3 no such table, 4 nothing has landed yet or the lake cannot be read.
    """
    from penstock.ingest import delta

    declared = _find(home, name)
    path = _location(home, declared)
    deadline = time.monotonic() + wait
    table = delta.read_table(delta.letters_path(path) if dead_letters else path)
    while (table is None or not table.rows) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        table = delta.read_table(delta.letters_path(path) if dead_letters else path)
    if table is None and not dead_letters:
        raise NotReady(
            f"table {name!r} has no rows yet: nothing is at {path}. Start ingest (penstock up, or "
            "penstock ingest); penstock table status tells how far it is."
        )
    order_by = "found_at" if dead_letters else _time_column(declared)
    found = table.newest(rows, order_by=order_by).to_pylist()[::-1] if table else []
    if as_json:
        print_json(found)
        return
    _print_rows(found)
    if table is not None:
        table_console.print(f"{len(found)} of {table.rows:,} rows, newest first", style="dim")


def _declared(home: Path) -> list[tables.Table]:
    """Return the declared tables; those of before while the control plane is away."""
    from penstock.api import table_wire
    from penstock.api.client import connect_home
    from penstock.ingest import declared

    try:
        with connect_home(home) as control:
            return [table_wire.decode_table(table) for table in control.tables()]
    except (ConfigError, NotReady):
        if remembered := declared.remembered(Settings(home=home)):
            return remembered
        raise


def _find(home: Path, name: str) -> tables.Table:
    known = _declared(home)
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) == 1:
        return found[0]
    if found:
        idents = ", ".join(table.ident for table in found)
        raise ConfigError(f"{name!r} is in several environments. Write one of {idents}.")
    names = ", ".join(sorted(table.name for table in known)) or "none"
    raise ConfigError(f"there is no table {name!r}. Declared are: {names}.")


def _time_column(table: tables.Table) -> str:
    """Return the column that tells how new a row is: the first timestamp; empty for none."""
    times = [c.name for c in table.columns if c.kind is types.Primitive.TIMESTAMP]
    times += [d.name for d in table.derived if d.expression == "event_time"]
    return next(iter(times), "")


def _location(home: Path, table: tables.Table) -> Path:

    return Settings(home=home).lake / table.path


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    if not rows:
        table_console.print(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    table_console.print(table)


def _print_rows(found: Sequence[Mapping[str, object]]) -> None:
    """Print records a line each where the terminal is wide enough, else a column each."""
    if not found:
        table_console.print("No rows.")
        return
    names = list(found[0])
    cells = [[_cell(row[name]) for name in names] for row in found]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    if sum(widths) + 2 * len(widths) <= table_console.width:
        _print_table(names, cells, empty="")
        return
    width = max(max(map(len, row)) for row in cells) + 2
    fit = max(1, (table_console.width - max(map(len, names)) - 2) // width)
    for first in range(0, len(cells), fit):
        some = cells[first : first + fit]
        titles = ["", *(str(first + number + 1) for number in range(len(some)))]
        lines = [[name, *column] for name, *column in zip(names, *some, strict=True)]
        _print_table(titles, lines, empty="")


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.1f}"
        case int() if value is not True and value is not False:
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case bytes():
            return escape(value.decode(errors="replace"))
        case _:
            return escape(str(value))
