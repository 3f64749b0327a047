"""Our own server, the measure of the others: `auth-agent serve` with nothing set but its port."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from auth_agent.server import Database
from auth_agent.server.registry import agents, clients
from benchmarks.peers.client import REDIRECT, People, Wire, waiting_page_sign_in
from benchmarks.peers.peer import Command


class AuthAgentServer:
    key, title, slowness = "auth-agent", "Auth Agent server, SQLite on disk", 1
    people = People()

    def __init__(self, url: str = "") -> None:
        self._url = url

    def command(self, folder: Path, port: int) -> Command:
        url = self._url or f"sqlite:///{folder}/auth-agent.db"
        database = Database.open(url)
        database.migrate()
        client = clients.add_client(database, "Shop", [REDIRECT], now=int(time.time()))
        agent = agents.add_agent(database, "ann@owner.example", model="m", now=int(time.time()))
        database.close()
        assert client.client_secret
        self.people = People(
            client.client_id,
            client.client_secret.reveal(),
            agent.agent_id,
            agent.agent_secret.reveal(),
        )
        run = "from auth_agent.cli import main; main()"
        options = ["--database", url, "--port", str(port)]
        # One agent does all the sign-ins here; the server would stop it after 300 a minute.
        environ = {
            "AUTH_AGENT_SERVER_LIMIT_AGENT_SUCCESSES": "1000000",
            "AUTH_AGENT_SERVER_LIMIT_REFRESHES": "1000000",
            "AUTH_AGENT_SERVER_SECRET": "a secret that only a benchmark has",
        }
        return Command([sys.executable, "-c", run, "serve", *options], environ)

    async def sign_in(self, wire: Wire) -> None:
        await waiting_page_sign_in(wire, self.people)
