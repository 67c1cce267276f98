"""`penstock table`: propose, check, see and steer the tables of the lake."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from penstock.cli import (
    table_backfill,
    table_bootstrap,
    table_check,
    table_copy,
    table_explain,
    table_new,
    table_verify,
)
from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    confirm,
    console,
    print_json,
    table_console,
)
from penstock.errors import ConfigError, NotReady
from penstock.ingest.settings import Settings
from penstock.model import tables, types
from penstock.units import format_ms

if TYPE_CHECKING:
    # What lands rows is installed with an extra; the command's help does without.
    from penstock.ingest.locations import Location
    from penstock.ingest.orders import Orders

__all__ = ["register"]

_LOOK_EVERY_S = 0.5
_FIRST_ROW_S = 30.0
_STYLES = {
    "running": "green",
    "waiting": "yellow",
    "stopped": "red",
    "paused": "cyan",
    "yielding": "cyan",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="The tables of the lake.", no_args_is_help=True)
    family.command(
        "new", epilog="Example: penstock table new page-views --topic page-views --out t.yaml"
    )(table_new.new)
    family.command("check", epilog="Example: penstock table check tables/page-views.yaml")(
        table_check.check
    )
    family.command("list", epilog="Example: penstock table list --json")(list_tables)
    family.command("status", epilog="Example: penstock table status")(status)
    family.command("show", epilog="Example: penstock table show host-metrics --rows 20")(show)
    family.command(
        "explain", epilog="Example: penstock table explain orders --changes-per-second 500"
    )(table_explain.explain)
    family.command("verify", epilog="Example: penstock table verify orders")(table_verify.verify)
    family.command("pause", epilog="Example: penstock table pause orders")(pause)
    family.command("resume", epilog="Example: penstock table resume orders")(resume)
    family.command(
        "reset", epilog="Example: penstock table reset orders --to 2026-11-21T08:00:00Z"
    )(reset)
    family.command("replay", epilog="Example: penstock table replay orders")(replay)
    family.command(
        "backfill",
        epilog="Example: penstock table backfill orders --from s3://archive/orders --rate 20000",
    )(table_backfill.backfill)
    family.command(
        "bootstrap",
        epilog="Example: penstock table bootstrap orders "
        "--from-postgres postgresql://reader@db/shop --source-table public.orders",
    )(table_bootstrap.bootstrap)
    family.command(
        "copy",
        epilog="Example: penstock table copy orders --to snowflake --database LAKE --schema SHOP",
    )(table_copy.copy)
    family.command("compact", epilog="Example: penstock table compact orders")(compact)
    app.add_typer(family, name="table")
    app.command(
        "archive", epilog="Example: penstock archive orders --to s3://archive/orders --every 1m"
    )(table_backfill.archive)


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
    """Tell how far the ingest process is with each table, its bootstrap and its backfills.

    A table is paused by a person, or yielding: a backfill has its turn for one piece.

    Exit codes: 0 told, also when ingest has never run.
    """
    from penstock.ingest import statuses

    known = statuses.read(Settings(home=home).state)
    if as_json:
        print_json(known)
        return
    _print_table(
        ("table", "state", "rows", "rows/s", "lag", "latency", "letters", "last commit", "notes"),
        [
            (
                ident,
                f"[{_STYLES[s['state']]}]{s['state']}",
                f"{s['rows']:,}",
                f"{s['rows_per_s']:,}",
                f"{s['lag_records']:,} ({s['lag_s']:,.0f} s)" if s["lag_records"] else "0",
                _latency(s),
                f"{s['dead_letters']:,}",
                _last_batch(s),
                _notes(s),
            )
            for ident, s in known.items()
        ],
        empty="No ingest process has run in this home. Start one: penstock ingest.",
    )


def _notes(status: Mapping[str, Any]) -> str:
    """Render what a table waits for, and what does not work."""
    turn = f"{status['turn']} has its turn" if status.get("turn") else ""
    loads = [
        f"{load['name']} {load['state']}: {load['rows_done']:,} of {load['rows_total']:,} rows, "
        f"{load['rows_per_s']:,}/s"
        for load in status.get("loads", ())
        if load["state"] not in ("done", "cancelled")
    ]
    return escape("; ".join(filter(None, (*loads, turn, status["error"]))))


def _latency(status: Mapping[str, Any]) -> str:
    """Render the latency reached and the declared one."""
    reached, declared = status["latency"]["reached_p50_ms"], status["latency"]["declared_ms"]
    wanted = format_ms(declared) if declared else "continuous"
    return f"{reached / 1000:,.1f} s of {wanted}" if status["batches"] else f"- of {wanted}"


def _last_batch(status: Mapping[str, Any]) -> str:
    when = str(status["committed_at"])[:19].replace("T", " ")
    if not status["batches"]:
        return when
    batch = status["batches"][-1]
    return f"{when}: {batch['records']:,} in {batch['duration_ms']:,} ms"


Name = Annotated[str, typer.Argument(help="The table: name, or environment/name.")]
WaitOption = Annotated[
    float, typer.Option(min=0, help="Seconds to wait until it is done; 0 only asks.")
]


def pause(name: Name, home: HomeOption = DEFAULT_HOME) -> None:
    """Let the table stand still after the batch it is in, whichever process runs it.

    Exit codes: 0 asked, 3 no such table, 4 the lake cannot be written.
    """
    _orders(home, name).pause()
    table_console.print(f"{name} stands still after its batch. Go on: penstock table resume {name}")


def resume(name: Name, home: HomeOption = DEFAULT_HOME) -> None:
    """Let a paused table go on where it stands.

    Exit codes: 0 asked, 3 no such table, 4 the lake cannot be written.
    """
    _orders(home, name).resume()
    table_console.print(f"{name} goes on.")


def reset(
    name: Name,
    to: Annotated[str, typer.Option(help="RFC 3339, e.g. 2026-11-21T08:00:00Z.")] = "",
    without: Annotated[
        str,
        typer.Option(
            metavar="CLUSTER", help="Give up what a planned batch waits for, of a removed cluster."
        ),
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: WaitOption = 60.0,
) -> None:
    """Let the table go on from the records of a time, back or forward.

    Going back lands records again: an append table has their rows twice then, a merged one does
    not. Going forward leaves records out. Nothing that is in the table is removed.

    With --without a table goes on that stopped because a batch is planned of a cluster which is
    declared no more: those records are told in the dead letters; the others land, each once.

    Exit codes: 0 done, 1 not agreed, 3 no such table, no time or both, 4 not done in time: it stays asked.
    """
    if bool(to) == bool(without):
        raise ConfigError("Give either --to and a time, or --without and a cluster.")
    if without:
        question = f"What {name} has not read yet of a batch on {without} is left out. Do it?"
        confirm(question, yes=yes)
        _ask(home, name, "reset", wait=wait, without=without)
        return
    try:
        at = datetime.fromisoformat(to)
    except ValueError as error:
        raise ConfigError(f"{to!r} is no time. Write e.g. 2026-11-21T08:00:00Z.") from error
    if at.tzinfo is None:
        raise ConfigError(f"{to!r} has no time zone. Write e.g. {to}Z for UTC.")
    confirm(
        f"{name} goes on from {at.isoformat()}: rows may come twice or be left out. Do it?", yes=yes
    )
    _ask(home, name, "reset", wait=wait, timestamp_ms=round(at.timestamp() * 1000))


def replay(name: Name, home: HomeOption = DEFAULT_HOME, wait: WaitOption = 60.0) -> None:
    """Try the table's dead letters again, by its declaration as it is now.

    Those that can be rows become rows, each once, and leave the dead letters; the others stay.

    Exit codes: 0 done, 3 no such table, 4 not done in time: it stays asked.
    """
    _ask(home, name, "replay", wait=wait)


def compact(name: Name, home: HomeOption = DEFAULT_HOME, wait: WaitOption = 60.0) -> None:
    """Join the table's small files now, and delete those nobody needs any more.

    Exit codes: 0 done, 3 no such table, 4 not done in time: it stays asked.
    """
    _ask(home, name, "compact", wait=wait)


def _ask(
    home: Path, name: str, kind: str, *, wait: float, timestamp_ms: int = 0, without: str = ""
) -> None:
    from penstock.ingest import orders

    told = _orders(home, name)
    order = told.ask(orders.Kind(kind), timestamp_ms=timestamp_ms, without=without)
    deadline = time.monotonic() + wait
    while (waits := told.is_open(order)) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
    if waits and wait:
        raise NotReady(
            f"the {kind} of {name} is asked and not done after {wait:g} s. It is done by the process "
            "that runs the table: is one running? penstock table status tells."
        )
    table_console.print(f"{kind} of {name} is {'asked' if waits else 'done'}.")


def _orders(home: Path, name: str) -> Orders:
    from penstock.ingest.orders import Orders

    return Orders(_location(home, _find(home, name)))


def show(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 10,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Show the records that could not be rows.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds to wait for the first row.", show_default="30 for a new table"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a table's newest rows as of its last commit, newest first.

    Of an append table only the newest files are read. A merged table is read through, with what its
    log of changes has not been folded in yet; no more than the rows to show are kept.

    A table that is declared and not yet there is waited for: its first batch is on its way.

    Exit codes: 0 shown, 3 no such table, 4 nothing has landed yet or the lake cannot be read.
    """
    declared = _find(home, name)
    look = _newest_letters if dead_letters else _newest_rows

    def lacks(found: tuple[Any, int] | None) -> bool:
        # A table can be empty by right, and dead letters are hoped not to come.
        return not dead_letters and found is None if wait is None else not (found and found[1])

    found = look(home, declared, rows)
    deadline = time.monotonic() + (_FIRST_ROW_S if wait is None else wait)
    if lacks(found) and time.monotonic() < deadline:
        with console.status(f"Waiting for the first row of {name} …"):
            while lacks(found) and time.monotonic() < deadline:
                time.sleep(_LOOK_EVERY_S)
                found = look(home, declared, rows)
    if found is None and not dead_letters:
        raise NotReady(
            f"table {name!r} has no rows yet: nothing is at {_location(home, declared)}. Start "
            "ingest (penstock up, or penstock ingest); penstock table status tells how far it is."
        )
    shown = found[0].to_pylist()[::-1] if found else []
    if as_json:
        print_json(shown)
        return
    _print_rows(shown)
    if found is not None:
        table_console.print(f"{len(shown)} of {found[1]:,} rows, newest first", style="dim")


def _newest_rows(home: Path, table: tables.Table, rows: int) -> tuple[Any, int] | None:
    from penstock.ingest import showing

    return showing.newest(table, _location(home, table), rows, order_by=_time_column(table))


def _newest_letters(home: Path, table: tables.Table, rows: int) -> tuple[Any, int] | None:
    from penstock.ingest import delta, letters

    place = letters.location(table, _location(home, table), lake=Settings(home=home).lake)
    found = delta.read_table(place)
    return (found.newest(rows, order_by="found_at"), found.rows) if found else None


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


def _location(home: Path, table: tables.Table) -> Location:
    from penstock.ingest.locations import locate

    return locate(table.path, lake=Settings(home=home).lake)


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
