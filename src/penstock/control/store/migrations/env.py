"""Run by Alembic; the connection, inside its transaction, is given by ``opening``."""

from __future__ import annotations

from alembic import context

from penstock.control.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    # SQLite can roll DDL back as well; Alembic only does not expect it to.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
