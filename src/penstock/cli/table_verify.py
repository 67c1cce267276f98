"""`penstock table verify`: is a table what its source is, a PostgreSQL table or its topic?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    from penstock.ingest.locations import Location
    from penstock.ingest.verifying.compare import Verdict
    from penstock.ingest.verifying.verify import Source
    from penstock.model import connectors, metadata, tables

__all__ = ["verify"]

_NOT_EQUAL = 7
_POSTGRES_PORT = "5432"
_POSTGRES_CONNECTOR = ".PostgresConnector"
_TOPIC, _DATABASE = "topic", "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the control plane says of a table.

    Attributes:
        connector: that writes its topic; None for none that is declared.
    """

    table: tables.Table
    connector: connectors.Connector | None
    snapshot: metadata.Snapshot

    @property
    def config(self) -> Mapping[str, str]:
        """Return the connector's configuration."""
        return self.connector.config if self.connector else {}


def verify(
    name: Annotated[str, typer.Argument(help="The table: name, or environment/name.")],
    home: HomeOption = DEFAULT_HOME,
    source: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_VERIFY_SOURCE",
            help="topic, database, or postgresql://user@host:port/database without a password "
            "(PGPASSWORD or a password file has it); else the declared connector's database, and "
            "the topic where there is none.",
        ),
    ] = "",
    source_table: Annotated[
        str, typer.Option(help="schema.table; else as the table's namespace or topic says.")
    ] = "",
    range_rows: Annotated[
        int, typer.Option(min=100, help="Rows of a key range; what is held in memory.")
    ] = 100_000,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds the table may take to get as far as its source.")
    ] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Compare every row of a table with its source, by counts and checksums of key ranges.

    Both sides may go on changing. A database is read at one place of its log, and a row that changed
    since is looked at again. A topic is read up to where the table stands, and decoded once more.
    Reads only.

    Exit codes: 0 every row is equal, 3 no such table or source, 4 a side cannot be read, or the table
    does not get as far as the source, 7 rows are not equal.
    """
    from penstock.ingest.locations import locate
    from penstock.ingest.settings import Settings

    known = _find(home, name)
    lake = Settings(home=home).lake
    place = locate(known.table.path, lake=lake)
    if _is_topic(source, known):
        verdict = _against_topic(known, place, lake=lake, range_rows=range_rows, wait_s=wait)
    else:
        origin = _origin(
            home, known, place, url=source.removeprefix(_DATABASE), source_table=source_table,
            wait_s=wait,
        )  # fmt: skip
        verdict = _against_database(known.table, place, origin, range_rows=range_rows)
    _show(known.table, verdict, as_json=as_json)
    if not verdict.equal:
        raise typer.Exit(_NOT_EQUAL)


def _is_topic(source: str, known: _Known) -> bool:
    """Tell whether the topic is what the table is compared with, as asked or as is possible."""
    if source and source not in (_TOPIC, _DATABASE) and "://" not in source:
        raise ConfigError(
            f"--source {source!r} is no source. Write topic, database, or "
            "postgresql://user@host:port/database."
        )
    keyed = bool(known.table.merge.primary_key)
    if not source:
        written = known.connector.connector_class if known.connector else ""
        return not (keyed and written.endswith(_POSTGRES_CONNECTOR))
    if source != _TOPIC and not keyed:
        raise ConfigError(
            f"table {known.table.ident} has no primary key, so its rows cannot be told from one "
            "another in a database. Compare it with its topic: --source topic"
        )
    return source == _TOPIC


def _against_topic(
    known: _Known, place: Location, *, lake: Path | str, range_rows: int, wait_s: float
) -> Verdict:
    from penstock.ingest import letters
    from penstock.ingest.verifying import against_topic
    from penstock.ingest.verifying import topic as topic_side

    table = known.table
    with console.status(f"Comparing {table.ident} with topic {table.topic} …") as status:
        return against_topic.verify(
            topic_side.opened(table, known.snapshot),
            place,
            letters.location(table, place, lake=lake),
            range_rows=range_rows,
            within_s=wait_s,
            progress=lambda told: status.update(
                f"Comparing {table.ident} with topic {table.topic}: {told} …"
            ),
        )


def _against_database(
    table: tables.Table, place: Location, origin: Source, *, range_rows: int
) -> Verdict:
    from penstock.ingest.verifying import verify as verifying
    from penstock.ingest.verifying.lake import Lake

    with console.status(f"Comparing {table.ident} with {origin.table} …") as status:
        return verifying.verify(
            origin,
            Lake(table=table, place=place),
            range_rows=range_rows,
            progress=lambda done, of: status.update(f"Comparing: range {done} of {of} …"),
        )


def _find(home: Path, name: str) -> _Known:
    from penstock.api import connector_wire, table_wire, wire
    from penstock.api.client import connect_home

    with connect_home(home) as control:
        known = [table_wire.decode_table(one) for one in control.tables()]
        declared = [connector_wire.decode_connector(one) for one in control.connectors()]
        snapshot = wire.decode_snapshot(control.snapshot())
    found = [table for table in known if name in (table.name, table.ident)]
    if len(found) != 1:
        idents = ", ".join(sorted(t.ident for t in found or known)) or "none"
        raise ConfigError(f"{name!r} names {len(found)} tables. Write one of: {idents}.")
    (table,) = found
    writing = [
        one
        for one in declared
        if table.topic in one.topics and one.environment == table.environment
    ]
    return _Known(table=table, connector=writing[0] if writing else None, snapshot=snapshot)


def _origin(
    home: Path, known: _Known, place: Location, *, url: str, source_table: str, wait_s: float
) -> Source:
    from penstock.ingest.verifying import reaching
    from penstock.ingest.verifying.verify import Source
    from penstock.kafka.admin import Admin
    from penstock.model.clusters import AuthMode

    table, config = known.table, known.config
    wanted = known.connector.cluster if known.connector else next(iter(table.clusters), "")
    cluster = known.snapshot.clusters.get(wanted)
    if cluster is None:
        raise ConfigError(
            f"no declared connector writes topic {table.topic} of table {table.ident}, and the "
            "table names no cluster. Declare the connector, or the table's clusters:, or compare "
            "with the topic: --source topic"
        )
    url = url or _address(home, config, table)
    prefix = config.get("topic.prefix", "")
    admin = Admin(cluster.name, cluster.bootstrap[AuthMode.PLAINTEXT])
    reach = reaching.Reach(
        url=url,
        slot=config.get("slot.name", "debezium"),
        ends=lambda: reaching.partition_ends(admin, table.topic),
        standing=lambda: reaching.standing(table, place),
        within_s=wait_s,
    )
    named = source_table or table.merge.namespace or table.topic.removeprefix(f"{prefix}.")
    return Source(url=url, table=named, reach=reach)


def _address(home: Path, config: Mapping[str, str], table: tables.Table) -> str:
    from penstock.connectors import secrets

    if "database.hostname" not in config:
        raise ConfigError(
            f"no connector to PostgreSQL writes topic {table.topic} of table {table.ident}. Name the "
            "database: --source postgresql://user@host:port/database, or compare with the topic: "
            "--source topic"
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
        f"{table.ident}: {'equal' if verdict.equal else 'NOT equal'} to its {verdict.source}, "
        f"{verdict.rows:,} rows in "
        f"{len(verdict.ranges)} ranges, checksum {verdict.checksum}"
    )
    if verdict.letters:
        table_console.print(f"dead letters: {verdict.letters:,}")
    if verdict.unjudged:
        table_console.print(f"rows of no record that the topic still has: {verdict.unjudged:,}")
    for note in verdict.notes:
        table_console.print(f"  {note}", style="yellow", soft_wrap=True)
    if verdict.moving:
        table_console.print(f"{verdict.moving:,} rows changed while they were compared")
    for fault in verdict.faults:
        table_console.print(
            f"  {', '.join(fault.key)}: {fault.difference}"
            + (f" in {', '.join(fault.columns)}" if fault.columns else ""),
            style="red",
        )
