"""Every table of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=True)


def upgrade() -> None:
    """Create them."""
    _create_estate()
    _create_plans()
    _create_operations()


def _create_estate() -> None:
    op.create_table(
        "metadata_version",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO metadata_version (id, version) VALUES (1, 1)")
    op.create_table("clusters", _key("name"), _text("body"))
    op.create_table("topics", _key("ident"), _text("body"))
    op.create_table(
        "epochs",
        sa.Column(
            "topic",
            sa.String,
            sa.ForeignKey("topics.ident", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        _text("body"),
    )
    op.create_table("tables", _key("ident"), _text("body"))
    op.create_table(
        "ownership", _key("cluster"), _key("topic"), sa.Column("ident", sa.String, nullable=False)
    )
    op.create_table("estate_files", _key("path"), _text("content"))


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.Integer, nullable=False),
    )
    op.create_table(
        "plan_changes",
        sa.Column(
            "plan", _COUNTER, sa.ForeignKey("plans.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("seq", sa.Integer, primary_key=True),
        _text("body"),
        sa.Column("status", sa.String, nullable=False),
        _text("error"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        _text("reason"),
        _text("before"),
        _text("after"),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])


def _create_operations() -> None:
    op.create_table(
        "leases",
        _key("name"),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table("cordons", _key("cluster"), _text("reason"))
    op.create_table(
        "active_clusters",
        _key("topic"),
        sa.Column("cluster", sa.String, nullable=False),
        _text("reason"),
    )
    op.create_table(
        "emptyings",
        _key("cluster"),
        _key("topic"),
        sa.Column("cleanup_policy", sa.String, nullable=True),
    )
    op.create_table(
        "clients",
        _key("instance"),
        sa.Column("last_seen_ms", sa.BigInteger, nullable=False),
        _text("body"),
    )
    op.create_index("ix_clients_last_seen_ms", "clients", ["last_seen_ms"])
    op.create_table("health", _key("cluster"), _text("body"))
    op.create_table(
        "drift",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("changes", sa.Integer, nullable=False),
    )
