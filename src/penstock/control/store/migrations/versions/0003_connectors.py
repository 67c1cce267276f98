"""The declared connectors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "connectors",
        sa.Column("ident", sa.String, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
