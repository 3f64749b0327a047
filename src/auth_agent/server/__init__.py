"""The Auth Agent server: self-hosted, SQLite by default.

from auth_agent.server import ServerSettings, create_app

app = create_app(ServerSettings(issuer="http://127.0.0.1:8420"))
"""

from __future__ import annotations

from auth_agent.server.app import create_app
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage.database import Database

__all__ = ["Database", "ServerSettings", "create_app"]
