"""`penstock table bootstrap`: a table's first rows straight out of its source database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from penstock.cli import table_backfill
from penstock.cli.output import DEFAULT_HOME, HomeOption, JsonOption, console
from penstock.ending import told_to_end

__all__ = ["bootstrap"]


def bootstrap(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    from_postgres: Annotated[
        str,
        typer.Option(
            help="postgresql://user@host:port/database; the password in PGPASSWORD or a password file."
        ),
    ],
    source_table: Annotated[str, typer.Option(help="schema.table")],
    home: HomeOption = DEFAULT_HOME,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Connections to the source.")] = 4,
    rate: Annotated[float, typer.Option(min=0, help="Rows a second at most; 0: no limit.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Copy a table of PostgreSQL as it is now, and load it beside the topic that tells its changes.

    The connector must be running first: what changes during the copy comes by the topic, and is
    newer than the copy. A kill loses and doubles nothing: the same command goes on.

    Exit codes: 0 all rows are in the table, 3 no such table or source, 4 a side cannot be reached or
    it was stopped: the same command goes on.
    """
    from penstock.ingest import bootstrap_postgres, letters
    from penstock.ingest.backfill.loading import Load
    from penstock.ingest.settings import Settings

    table, place = table_backfill.find(home, name)
    if bootstrap_postgres.is_done(table, place):
        table_backfill.show(table, place, as_json=as_json)
        return
    origin = bootstrap_postgres.Origin(url=from_postgres, table=source_table, parallel=parallel)
    stopping = told_to_end()
    with console.status(f"Copying {source_table} …") as status:
        copy = bootstrap_postgres.copied(
            table,
            place,
            origin,
            stopping=stopping,
            progress=lambda done, of: status.update(
                f"Copying {source_table}: range {done} of {of} …"
            ),
        )
    console.print(f"{copy.rows:,} rows of {copy.table} are copied")
    planned, files = bootstrap_postgres.planned(place, copy)
    load = Load(
        table,
        planned,
        files,
        place=place,
        letters_place=letters.location(table, place, lake=Settings(home=home).lake),
        clock=lambda: datetime.now(UTC),
        rate=rate,
        stopping=stopping,
    )
    table_backfill.carry_out(table, load)
    bootstrap_postgres.forget(place)
    table_backfill.show(table, place, as_json=as_json)
