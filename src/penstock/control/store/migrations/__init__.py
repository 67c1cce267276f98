"""How the store came to its shape: one Alembic script a step, oldest first, never edited."""
