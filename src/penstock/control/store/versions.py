"""The one number that grows with every change of the metadata, in the same transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from penstock.control.store.schema import metadata_version

__all__ = ["advance", "current"]


def current(tx: Connection) -> int:
    """Return the version of the metadata this transaction sees."""
    return int(tx.execute(select(metadata_version.c.version)).scalar_one())


def advance(tx: Connection) -> None:
    """Count this transaction as one more version."""
    tx.execute(update(metadata_version).values(version=metadata_version.c.version + 1))
