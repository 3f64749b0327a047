"""Alembic's scripts; run by `auth_agent.server.storage.schema`."""
