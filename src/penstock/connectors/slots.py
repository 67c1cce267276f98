"""The replication slot of a PostgreSQL source: how far behind it is, and dropping it.

    connector's configuration ─▶ psycopg ─▶ pg_replication_slots ─▶ Slot(lag in bytes)

The only door to psycopg of this package. It asks the same database, as the same user, as the
connector does. Never drops a slot that is in use, and never one unless told to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import extras
from penstock.connectors import secrets
from penstock.errors import NotReady, Refused

if TYPE_CHECKING:
    import psycopg

__all__ = ["Slot", "drop", "look", "name_of", "reads_postgres"]

_CONNECTOR_CLASS = "io.debezium.connector.postgresql.PostgresConnector"
_DEFAULT_SLOT = "debezium"
_CONNECT_S = 3
_STATEMENT_MS = 3_000

_LOOK = """
SELECT active, wal_status,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                            ELSE pg_current_wal_lsn() END, confirmed_flush_lsn)::bigint
FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One replication slot.

    Attributes:
        active: whether somebody reads from it now.
        lag_bytes: log written by the database that the connector has not confirmed yet.
        wal_status: ``reserved`` is good; ``lost`` means changes are gone, and a new snapshot is due.
    """

    name: str
    active: bool
    lag_bytes: int
    wal_status: str


def reads_postgres(config: Mapping[str, str]) -> bool:
    """Tell whether the configuration is that of a PostgreSQL source."""
    return config.get("connector.class") == _CONNECTOR_CLASS


def name_of(config: Mapping[str, str]) -> str:
    """Return the name of the slot the connector reads from."""
    return config.get("slot.name", _DEFAULT_SLOT)


def look(config: Mapping[str, str], *, directory: Path) -> Slot | None:
    """Return the connector's slot as its database has it; None where there is none.

    Args:
        config: the connector's.
        directory: of secrets.

    Raises:
        NotReady: when the database cannot be reached or asked from here.
    """
    name = name_of(config)
    with _connection(config, directory=directory) as connection:
        row = connection.execute(_LOOK, (name,)).fetchone()
    if row is None:
        return None
    active, wal_status, lag_bytes = row
    return Slot(
        name=name, active=active, lag_bytes=max(0, lag_bytes or 0), wal_status=wal_status or ""
    )


def drop(config: Mapping[str, str], *, directory: Path) -> bool:
    """Drop the connector's slot; tell whether there was one.

    Raises:
        NotReady: when the database cannot be reached or asked from here.
        Refused: when somebody reads from it.
    """
    name = name_of(config)
    with _connection(config, directory=directory) as connection:
        row = connection.execute(_LOOK, (name,)).fetchone()
        if row is None:
            return False
        if row[0]:
            raise Refused(f"slot {name} is being read. Stop its reader, then drop it again.")
        connection.execute("SELECT pg_drop_replication_slot(%s)", (name,))
    return True


@contextmanager
def _connection(
    config: Mapping[str, str], *, directory: Path
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    try:
        import psycopg  # noqa: PLC0415 - an extra: whoever manages no PostgreSQL source has none
    except ModuleNotFoundError as error:
        raise NotReady(
            "the slot cannot be asked for without a driver. Install it: "
            f"{extras.command('postgres')}"
        ) from error

    def of(key: str, default: str = "") -> str:
        return secrets.resolve(config.get(key, default), directory=directory)

    host, port = of("database.hostname"), of("database.port", "5432")
    try:
        with psycopg.connect(
            host=host,
            port=port,
            dbname=of("database.dbname"),
            user=of("database.user"),
            password=of("database.password"),
            sslmode=of("database.sslmode", "prefer"),
            connect_timeout=_CONNECT_S,
            options=f"-c statement_timeout={_STATEMENT_MS}",
            application_name="penstock-connect",
            autocommit=True,
        ) as connection:
            yield connection
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotReady(
            f"the database at {host}:{port} does not tell of its slot: {reason}. See whether it "
            "runs, and whether the connector's user may read pg_replication_slots."
        ) from error
