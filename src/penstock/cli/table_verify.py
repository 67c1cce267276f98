"""`penstock table verify`: is a merged table what its PostgreSQL table is?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from penstock.cli.output import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    print_json,
    table_console,
)
from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.ingest.verifying.lake import Lake
    from penstock.ingest.verifying.verify import Source, Verdict
    from penstock.model import clusters, connectors, tables

__all__ = ["verify"]

_NOT_EQUAL = 7
_POSTGRES_PORT = "5432"


def verify(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    source: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_VERIFY_SOURCE",
            help="postgresql://user@host:port/database, without a password (PGPASSWORD or a "
            "password file has it); else the declared connector's.",
        ),
    ] = "",
    source_table: Annotated[
        str, typer.Option(help="schema.table; else as the table's namespace or topic says.")
    ] = "",
    range_rows: Annotated[
        int, typer.Option(min=100, help="Rows of a key range; what is held in memory.")
    ] = 100_000,
    as_json: JsonOption = False,
) -> None:
    """Compare every row of a table with its source, by counts and checksums of key ranges.

    Both sides may go on changing: the source is read at one place of its log, and a row that changed
    since is looked at again. Reads only.

    Exit codes: 0 every row is equal, 3 no such table or source, 4 a side cannot be read, or the table
    does not get as far as the source, 7 rows are not equal.
    """
    from penstock.ingest.settings import Settings
    from penstock.ingest.verifying import lake as lake_side
    from penstock.ingest.verifying import verify as verifying

    table, found = _find(home, name)
    side = lake_side.opened(table, lake=Settings(home=home).lake)
    origin = _origin(home, table, found, url=source, source_table=source_table, side=side)
    with console.status(f"Comparing {table.ident} with {origin.table} …") as status:
        verdict = verifying.verify(
            origin,
            side,
            range_rows=range_rows,
            progress=lambda done, of: status.update(f"Comparing: range {done} of {of} …"),
        )
    _show(table, verdict, as_json=as_json)
    if not verdict.equal:
        raise typer.Exit(_NOT_EQUAL)


def _find(
    home: Path, name: str
) -> tuple[tables.Table, tuple[connectors.Connector | None, clusters.Cluster]]:
    from penstock.api import connector_wire, table_wire, wire
    from penstock.api.client import connect_home

    with connect_home(home) as control:
        known = [table_wire.decode_table(one) for one in control.tables()]
        declared = [connector_wire.decode_connector(one) for one in control.connectors()]
        reachable = {c.name: wire.decode_cluster(c) for c in control.clusters()}
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) != 1:
        idents = ", ".join(sorted(t.ident for t in found or known)) or "none"
        raise ConfigError(f"{name!r} names {len(found)} tables. Write one of: {idents}.")
    (table,) = found
    if not table.merge.primary_key:
        raise ConfigError(
            f"table {table.ident} has no primary key, so its rows cannot be told from one another. "
            "Only tables of mode merge-cdc are compared with a database."
        )
    writing = [
        one
        for one in declared
        if table.topic in one.topics and one.environment == table.environment
    ]
    connector = writing[0] if writing else None
    wanted = connector.cluster if connector else next(iter(table.clusters), "")
    if wanted not in reachable:
        raise ConfigError(
            f"no declared connector writes topic {table.topic} of table {table.ident}, and the "
            "table names no cluster. Declare the connector, or the table's clusters:."
        )
    return table, (connector, reachable[wanted])


def _origin(
    home: Path,
    table: tables.Table,
    found: tuple[connectors.Connector | None, clusters.Cluster],
    *,
    url: str,
    source_table: str,
    side: Lake,
) -> Source:
    from penstock.ingest.verifying import reaching
    from penstock.ingest.verifying.verify import Source
    from penstock.kafka.admin import Admin
    from penstock.model.clusters import AuthMode

    connector, cluster = found
    config: Mapping[str, str] = connector.config if connector else {}
    url = url or _address(home, config, table)
    prefix = config.get("topic.prefix", "")
    admin = Admin(cluster.name, cluster.bootstrap[AuthMode.PLAINTEXT])
    reach = reaching.Reach(
        url=url,
        slot=config.get("slot.name", "debezium"),
        ends=lambda: reaching.partition_ends(admin, table.topic),
        standing=lambda: reaching.standing(table, side.place),
    )
    named = source_table or table.merge.namespace or table.topic.removeprefix(f"{prefix}.")
    return Source(url=url, table=named, reach=reach)


def _address(home: Path, config: Mapping[str, str], table: tables.Table) -> str:
    from penstock.connectors import secrets

    if "database.hostname" not in config:
        raise ConfigError(
            f"no connector to PostgreSQL writes topic {table.topic} of table {table.ident}. Name the "
            "database: --source postgresql://user@host:port/database"
        )
    password = secrets.resolve(config.get("database.password", ""), directory=home / "secrets")
    return (
        f"postgresql://{quote(config['database.user'])}:{quote(password, safe='')}"
        f"@{config['database.hostname']}:{config.get('database.port', _POSTGRES_PORT)}"
        f"/{quote(config['database.dbname'])}"
    )


def _show(table: tables.Table, verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        print_json({"table": table.ident, **asdict(verdict), "checksum": verdict.checksum})
        return
    table_console.print(
        f"{table.ident}: {'equal' if verdict.equal else 'NOT equal'}, {verdict.rows:,} rows in "
        f"{len(verdict.ranges)} ranges, checksum {verdict.checksum}"
    )
    if verdict.moving:
        table_console.print(f"{verdict.moving:,} rows changed while they were compared")
    for fault in verdict.faults:
        table_console.print(
            f"  {', '.join(fault.key)}: {fault.difference}"
            + (f" in {', '.join(fault.columns)}" if fault.columns else ""),
            style="red",
        )
