"""Alembic's scripts; run by `auth_agent.server.migration`."""
