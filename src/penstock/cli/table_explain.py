"""`penstock table explain`: how a merged table is written, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import DEFAULT_HOME, HomeOption, JsonOption, print_json, table_console
from penstock.errors import ConfigError, NotReady

if TYPE_CHECKING:
    from penstock.ingest.explain import Explanation
    from penstock.model import tables

__all__ = ["explain"]


def explain(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    changes_per_second: Annotated[
        float, typer.Option(min=0.0, help="Changes of rows that come in a second.")
    ] = 100.0,
    as_json: JsonOption = False,
) -> None:
    """Tell how a merged table is written, copy-on-write or by a change log, with the arithmetic.

    Reads the table's log only. Exit codes: 0 told, 3 no such table or none that is merged, 4 the
    lake cannot be read.
    """
    from penstock.model import tables

    table = _find(home, name)
    if table.mode is tables.TableMode.APPEND:
        raise ConfigError(
            f"table {table.ident} is of mode append: its rows are only ever added, so there is "
            "nothing to choose. Name a table of mode merge-cdc or merge."
        )
    explanation = _explained(home, table, changes_per_second)
    if as_json:
        print_json(
            {
                "table": table.ident,
                "strategy": explanation.strategy.value,
                "copy_on_write_ratio": explanation.merge_ratio,
                "change_log_ratio": explanation.log_ratio,
                "lines": list(explanation.lines),
            }
        )
        return
    table_console.print(f"[bold]{table.ident}[/bold]: {explanation.strategy.value}")
    for line in explanation.lines:
        table_console.print(f"  {line}", highlight=False)


def _explained(home: Path, table: tables.Table, changes_per_s: float) -> Explanation:
    from penstock.ingest import changes, delta, merging
    from penstock.ingest import explain as explaining
    from penstock.ingest.locations import locate
    from penstock.ingest.settings import Settings
    from penstock.ingest.targets import strategies

    lake = delta.read_table(locate(table.path, lake=Settings(home=home).lake))
    statistics = explaining.Statistics(rows=0, files=0)
    if lake is not None:
        statistics = strategies.statistics_of(
            merging.KeyedTable.of(
                lake, primary_key=table.merge.primary_key, marks=changes.marks(table)
            )
        )
    return explaining.explain(table, statistics, explaining.Load(changes_per_s=changes_per_s))


def _find(home: Path, name: str) -> tables.Table:
    from penstock.api import table_wire
    from penstock.api.client import connect_home
    from penstock.ingest import declared
    from penstock.ingest.settings import Settings

    try:
        with connect_home(home) as control:
            known = [table_wire.decode_table(table) for table in control.tables()]
    except NotReady:
        known = declared.remembered(Settings(home=home))
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) == 1:
        return found[0]
    idents = ", ".join(sorted(table.ident for table in found or known)) or "none"
    raise ConfigError(f"{name!r} names {len(found)} tables. Write one of: {idents}.")
