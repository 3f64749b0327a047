"""The application in a process that does nothing but serve it."""

from __future__ import annotations

import gc

from starlette.applications import Starlette

from auth_agent.server.app import create_app
from auth_agent.server.settings import ServerSettings

YOUNG_OBJECTS = 20_000  # a request makes a few hundred, nearly all of them without circles


def create_worker(settings: ServerSettings | None = None) -> Starlette:
    """`create_app`, and a collector that does not look again and again at what stays for good."""
    app = create_app(settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    return app
