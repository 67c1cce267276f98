"""Open the store at a URL and bring it to this version's shape.

URL ─▶ engine ─▶ locked ─▶ migrate ─▶ Database
                    └─ written by a newer Penstock ─▶ ConfigError, nothing touched
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.control.store.database import Database, prepare_sqlite, translate_errors
from penstock.errors import ConfigError, PenstockError

__all__ = ["migrate", "open_store"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_CONNECT_TIMEOUT_S = 10


def open_store(url: str, *, busy_timeout_ms: int = 10_000) -> Database:
    """Open the store, making or migrating its tables.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``.
        busy_timeout_ms: how long a writer waits for another before it gives up.

    Raises:
        ConfigError: for a URL that is not one, or a store newer than this Penstock.
        NotReady: when it is locked, full or cannot be reached.
        RemoteError: when it is damaged.
    """
    engine = _make_engine(_parse(url), busy_timeout_ms=busy_timeout_ms)
    database = Database(engine)
    try:
        with database.write() as tx:
            migrate(tx)
    except PenstockError:
        database.close()
        raise
    return database


def migrate(tx: Connection, *, to: str = "head") -> None:
    """Run the migrations the store has not seen; the writer's lock keeps others out.

    Raises:
        ConfigError: when the store was written by a newer Penstock.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = tx
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(tx).get_current_revision()
    if current is not None and current not in known:
        raise ConfigError(
            f"the store at {tx.engine.url} was written by a newer Penstock (its version is "
            f"{current}, this one knows up to {max(known)}); upgrade Penstock, or restore a backup"
        )
    command.upgrade(config, to)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            f"{url!r} is not a store URL; write sqlite:///path or postgresql://host/database"
        ) from error
    dialect = parsed.get_backend_name()
    if dialect not in {"sqlite", "postgresql"}:
        raise ConfigError(f"the store can be sqlite or postgresql, not {dialect}")
    return parsed.set(drivername="postgresql+psycopg") if dialect == "postgresql" else parsed


def _make_engine(url: URL, *, busy_timeout_ms: int) -> Engine:
    with translate_errors(str(url)):
        if url.get_backend_name() == "postgresql":
            return create_engine(
                url,
                pool_pre_ping=True,
                connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
            )
        engine = create_engine(url)
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        prepare_sqlite(engine, busy_timeout_ms=busy_timeout_ms)
        return engine
