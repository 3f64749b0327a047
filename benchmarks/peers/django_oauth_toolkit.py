"""django-oauth-toolkit on gunicorn and SQLite, with client secrets hashed or in clear."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.client import People, Wire, waiting_page_sign_in
from benchmarks.peers.installed import virtualenv
from benchmarks.peers.peer import Command
from benchmarks.peers.process import ROOT


class DjangoOAuthToolkit:
    def __init__(self, *, hashed: bool) -> None:
        self._secrets = "hashed" if hashed else "clear"
        self.key = f"django-oauth-toolkit-{self._secrets}"
        told = "secrets hashed" if hashed else "secrets in clear"
        self.title = f"django-oauth-toolkit, SQLite, {told}"
        self.slowness = 50 if hashed else 4

    def command(self, folder: Path, port: int) -> Command:
        python = virtualenv("django-oauth-toolkit>=3.4,<4", "gunicorn>=23", "bcrypt>=5,<6")
        module = "benchmarks.peers.servers.django_oauth_toolkit"
        arguments = [str(python), "-m", module, str(port), f"{folder}/django.db", self._secrets]
        return Command(arguments, {"PYTHONPATH": str(ROOT)})

    async def sign_in(self, wire: Wire) -> None:
        await waiting_page_sign_in(wire, People(), "/o/authorize/", "/o/token/")
