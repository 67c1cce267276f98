"""Open the store at a URL and bring it to this version's shape.

URL ─▶ engine ─▶ locked ─▶ as the newest migration left it ──▶ Database
                    └─ otherwise ─▶ `migrating.migrate` ──▲
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.control.store import schema
from penstock.control.store.database import Database, prepare_sqlite, translate_errors
from penstock.errors import ConfigError, PenstockError

__all__ = ["open_store"]

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
            if not _is_current(tx):
                # Alembic takes half a second to load, and few starts need it.
                from penstock.control.store.migrating import migrate  # noqa: PLC0415

                migrate(tx)
    except PenstockError:
        database.close()
        raise
    return database


def _is_current(tx: Connection) -> bool:
    """Tell whether the store has seen every migration, by the name of the newest script."""
    if not inspect(tx).has_table("alembic_version"):
        return False
    newest = max(
        path.name.partition("_")[0] for path in schema.MIGRATIONS.glob("versions/[0-9]*.py")
    )
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest


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
