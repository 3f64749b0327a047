"""The Auth Agent server: self-hosted, SQLite by default.

from auth_agent.server import ServerSettings, create_app

app = create_app(ServerSettings(issuer="http://127.0.0.1:8420"))
"""

from __future__ import annotations

from .app import create_app
from .database import Database
from .settings import ServerSettings

__all__ = ["Database", "ServerSettings", "create_app"]
