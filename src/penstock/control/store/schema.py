"""The tables of the store, as the newest migration leaves them.

Values of the model are kept as one JSON ``body`` beside the columns that are searched by, so that
a new field of the model needs no migration. Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table, Text

__all__ = [
    "MIGRATIONS",
    "active_clusters",
    "audit",
    "clients",
    "clusters",
    "connectors",
    "cordons",
    "drift",
    "emptyings",
    "epochs",
    "estate_files",
    "health",
    "leases",
    "metadata",
    "metadata_version",
    "ownership",
    "plan_changes",
    "plans",
    "tables",
    "topics",
]

MIGRATIONS = Path(__file__).parent / "migrations"
"""Alembic's scripts; the name of each begins with its revision."""

metadata = MetaData()

# SQLite counts up only a plain INTEGER primary key; PostgreSQL should not stop at 2^31.
_COUNTER = BigInteger().with_variant(Integer(), "sqlite")

metadata_version = Table(
    "metadata_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

clusters = Table(
    "clusters",
    metadata,
    Column("name", String, primary_key=True),
    Column("body", Text, nullable=False),
)

topics = Table(
    "topics",
    metadata,
    Column("ident", String, primary_key=True),
    Column("body", Text, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("topic", ForeignKey("topics.ident", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", Text, nullable=False),
)

tables = Table(
    "tables",
    metadata,
    Column("ident", String, primary_key=True),
    Column("body", Text, nullable=False),
)

connectors = Table(
    "connectors",
    metadata,
    Column("ident", String, primary_key=True),
    Column("body", Text, nullable=False),
)

ownership = Table(
    "ownership",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("topic", String, primary_key=True),
    Column("ident", String, nullable=False),
)

estate_files = Table(
    "estate_files",
    metadata,
    Column("path", String, primary_key=True),
    Column("content", Text, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("id", _COUNTER, primary_key=True, autoincrement=True),
    Column("digest", String, nullable=False),
    Column("who", String, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("finished", Integer, nullable=False),
)

plan_changes = Table(
    "plan_changes",
    metadata,
    Column("plan", ForeignKey("plans.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("error", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _COUNTER, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

cordons = Table(
    "cordons",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("reason", Text, nullable=False),
)

active_clusters = Table(
    "active_clusters",
    metadata,
    Column("topic", String, primary_key=True),
    Column("cluster", String, nullable=False),
    Column("reason", Text, nullable=False),
)

emptyings = Table(
    "emptyings",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("topic", String, primary_key=True),
    Column("cleanup_policy", String, nullable=True),
)

clients = Table(
    "clients",
    metadata,
    Column("instance", String, primary_key=True),
    Column("last_seen_ms", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
)

health = Table(
    "health",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("body", Text, nullable=False),
)

drift = Table(
    "drift",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("changes", Integer, nullable=False),
)
