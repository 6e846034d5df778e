"""Alembic's environment: it migrates over the connection that the store hands it, inside the store's transaction."""

from __future__ import annotations

from alembic import context

from jointcoder.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
context.run_migrations()
