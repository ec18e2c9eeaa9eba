"""Alembic's way in: migrations run on the connection that `migrations.upgrade` opened."""

from __future__ import annotations

from alembic import context

from jhe_server import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.Base.metadata, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
