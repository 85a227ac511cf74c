"""How Alembic runs our migrations: on the connection, and in the transaction, of whoever called."""

from __future__ import annotations

from alembic import context

from remediator.adapters.sql.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
