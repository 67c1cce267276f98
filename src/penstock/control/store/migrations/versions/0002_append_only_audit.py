"""The database itself refuses to change or remove an audit entry."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSTGRES = (
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger AS $$
    BEGIN RAISE EXCEPTION 'the audit is append-only'; END
    $$ LANGUAGE plpgsql
    """,
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)
_SQLITE = tuple(
    f"""
    CREATE TRIGGER audit_no_{action.lower()} BEFORE {action} ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
    """
    for action in ("UPDATE", "DELETE")
)


def upgrade() -> None:
    """Add the triggers."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _POSTGRES if on_postgres else _SQLITE:
        op.execute(statement)
