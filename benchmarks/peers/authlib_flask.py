"""Authlib on Flask and gunicorn, everything in memory."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers.client import People, Wire, waiting_page_sign_in
from benchmarks.peers.peer import Command


class AuthlibFlask:
    key, title, slowness = "authlib", "Authlib on Flask, in memory", 1

    def command(self, folder: Path, port: int) -> Command:
        module = "benchmarks.peers.servers.authlib_flask"
        return Command(
            [sys.executable, "-m", module, str(port)], {"AUTHLIB_INSECURE_TRANSPORT": "1"}
        )

    async def sign_in(self, wire: Wire) -> None:
        await waiting_page_sign_in(wire, People())
