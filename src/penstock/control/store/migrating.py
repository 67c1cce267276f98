"""Brings a store to the newest migration.

    Alembic's scripts ─▶ known revisions ─▶ those the store has not seen, in one transaction
         └─ the store's revision is not among them ─▶ ConfigError, nothing touched

Loaded by `opening` only for a store that needs it: Alembic takes long to load.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from penstock.control.store import schema
from penstock.errors import ConfigError

__all__ = ["migrate"]


def migrate(tx: Connection, *, to: str = "head") -> None:
    """Run the migrations the store has not seen; the writer's lock keeps others out.

    Raises:
        ConfigError: when the store was written by a newer Penstock.
    """
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = tx
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(tx).get_current_revision()
    if current is not None and current not in known:
        raise ConfigError(
            f"the store at {tx.engine.url} was written by a newer Penstock (its version is "
            f"{current}, this one knows up to {max(known)}); upgrade Penstock, or restore a backup"
        )
    command.upgrade(config, to)
