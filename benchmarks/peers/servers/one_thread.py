"""gunicorn with one worker of one thread, which keeps connections open.

More threads only wait for one another: both peers got slower with them, and waitress was no faster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication


class OneThread(BaseApplication):  # type: ignore[misc]
    """The port is the first argument."""

    def __init__(self, make_app: Callable[[], Any]) -> None:
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"127.0.0.1:{sys.argv[1]}",
            "worker_class": "gthread",
            "threads": 1,
            "keepalive": 60,
            "loglevel": "warning",
            "control_socket_disable": True,  # newer ones leave a socket in the home directory
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()
