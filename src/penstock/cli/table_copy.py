"""`penstock table copy`: keep a table of the lake in Snowflake as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    print_json,
    table_console,
)
from penstock.ending import told_to_end
from penstock.errors import ConfigError, NotReady
from penstock.units import format_ms, parse_ms

if TYPE_CHECKING:
    from penstock.ingest.locations import Location
    from penstock.ingest.sinks.snowflake import Copied
    from penstock.ingest.sinks.snowflake_client import Account
    from penstock.model import tables

__all__ = ["copy"]


class Sink(StrEnum):
    """Where tables can be copied to."""

    SNOWFLAKE = "snowflake"


def copy(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    to: Annotated[Sink, typer.Option(help="The store.")],
    database: Annotated[
        str, typer.Option(envvar="SNOWFLAKE_DATABASE", help="Database there; it must exist.")
    ],
    schema: Annotated[
        str, typer.Option(envvar="SNOWFLAKE_SCHEMA", help="Schema there; it must exist.")
    ],
    home: HomeOption = DEFAULT_HOME,
    table: Annotated[
        str, typer.Option(help="Name there; else the table's, in upper case, with _ for -.")
    ] = "",
    every: Annotated[
        str, typer.Option(help="Copy again and again, e.g. 15m; SIGTERM ends after a copy.")
    ] = "",
    once: Annotated[
        bool, typer.Option("--once", help="Copy once; so it is without --every.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Copy every row first, not only what changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a table to Snowflake: whole at first, then what changed, hard deletes included.

    How far the copy is stands in Snowflake, in PENSTOCK_COPIES; a copy that was killed is made again
    from there. Who copies is told by the environment: SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, and
    SNOWFLAKE_PRIVATE_KEY_FILE (SNOWFLAKE_PRIVATE_KEY_PASSPHRASE), SNOWFLAKE_PASSWORD_FILE or
    SNOWFLAKE_PASSWORD; SNOWFLAKE_ROLE and SNOWFLAKE_WAREHOUSE where the user's own will not do.

    Exit codes: 0 copied, 3 no such table, credentials or database, 4 the lake or Snowflake cannot be
    reached, 5 it needs --full or may not be, 6 another process copies the table, 8 Snowflake failed.
    """
    from penstock.ingest.locations import locate
    from penstock.ingest.settings import Settings
    from penstock.ingest.sinks.snowflake_client import account_from

    if every and once:
        raise ConfigError("--every and --once contradict one another. Give one of them.")
    pause_s = _pause_s(every)
    account = account_from(os.environ)
    declared = _find(home, name)
    place = locate(declared.path, lake=Settings(home=home).lake)

    def run(whole: bool) -> None:
        done = _copied(declared, place, account, where=(database, schema, table), full=whole)
        _show(declared, done, to=to, as_json=as_json)

    run(full)
    if pause_s:
        _again(run, pause_s)


def _pause_s(every: str) -> float:
    if not every:
        return 0.0
    try:
        pause_ms = parse_ms(every)
    except ValueError as error:
        raise ConfigError(f"--every {every}: {error}") from error
    if pause_ms < 1000:  # noqa: PLR2004 - a second; each copy is a session and a transaction
        raise ConfigError(f"--every {every} is less than a second. Write e.g. 15m.")
    return pause_ms / 1000


def _again(run: Callable[[bool], None], pause_s: float) -> None:
    """Copy at intervals until the process is told to end; what may pass by itself is waited for."""
    ended = told_to_end()
    while not ended.wait(pause_s):
        try:
            run(False)
        except NotReady as error:
            console.print(f"{error.message} Next try in {format_ms(round(pause_s * 1000))}.")


def _copied(
    table: tables.Table,
    place: Location,
    account: Account,
    *,
    where: tuple[str, str, str],
    full: bool,
) -> Copied:
    from penstock.ingest.sinks import snowflake
    from penstock.ingest.sinks.snowflake_client import connected

    database, schema, name = where
    with (
        console.status(f"Copying {table.ident} to {database}.{schema} …") as status,
        connected(account, database=database, schema=schema) as client,
    ):
        return snowflake.copy(
            table,
            place,
            client,
            name=name.upper(),
            full=full,
            told=lambda step: status.update(f"Copying {table.ident}: {step} …"),
        )


def _find(home: Path, name: str) -> tables.Table:
    """Return the declared table; as it was last known while the control plane is away."""
    from penstock.api import table_wire
    from penstock.api.client import connect_home
    from penstock.ingest import declared
    from penstock.ingest.settings import Settings

    try:
        with connect_home(home) as control:
            known = [table_wire.decode_table(one) for one in control.tables()]
    except (ConfigError, NotReady):
        known = declared.remembered(Settings(home=home))
        if not known:
            raise
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) != 1:
        idents = ", ".join(sorted(t.ident for t in found or known)) or "none"
        raise ConfigError(f"{name!r} names {len(found)} tables. Write one of: {idents}.")
    return found[0]


def _show(table: tables.Table, done: Copied, *, to: Sink, as_json: bool) -> None:
    if as_json:
        print_json({"source": table.ident, "to": to.value, **asdict(done)})
        return
    what = "every row" if done.whole else f"{done.changes:,} changes"
    table_console.print(
        f"{table.ident}: {what} copied to {done.table}, which is version {done.version} now "
        f"({done.inserted:,} rows written, {done.deleted:,} removed)"
    )
