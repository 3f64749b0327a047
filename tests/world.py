"""A real Auth Agent server, and real websites as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

import httpx2
import pytest

from auth_agent.server import Database, ServerSettings, create_app
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.registry.clients import add_client
from tests.adapters.network import free_port, serve_asgi

SCOPES = ("openid", "profile", "email", "refunds:write")
MODEL = "claude-opus-4"

# How each server is started; two workers wherever it has workers.
SERVERS = {
    "uvicorn": ("uvicorn", "--log-level", "warning", "--port", "{port}", "{target}"),
    "uvicorn with workers": (
        *("uvicorn", "--log-level", "warning", "--workers", "2", "--port", "{port}", "{target}"),
    ),
    "hypercorn": (
        *("hypercorn", "--log-level", "warning", "--workers", "2"),
        *("--bind", "127.0.0.1:{port}", "{target}"),
    ),
    "gunicorn": (
        *("gunicorn", "--log-level", "warning", "--workers", "2"),
        *("--bind", "127.0.0.1:{port}", "{target}"),
    ),
    "gunicorn with gevent": (
        *("gunicorn", "--log-level", "warning", "--preload", "-k", "gevent"),
        *("--bind", "127.0.0.1:{port}", "{target}"),
    ),
    "waitress": ("waitress", "--listen", "127.0.0.1:{port}", "{target}"),
}


class AuthServer(NamedTuple):
    """The server, and the credentials of its one agent."""

    issuer: str
    database: Database
    agent_id: str
    agent_secret: str

    def register(self, site, scopes=SCOPES):
        """Returns the environment of a website that is now a client of this server."""
        client = add_client(
            self.database,
            "Example shop",
            [f"{site}/auth-agent/callback"],
            scopes=scopes,
            now=int(time.time()),
        )
        return {
            "AUTH_AGENT_ISSUER": self.issuer,
            "AUTH_AGENT_CLIENT_ID": client.client_id,
            "AUTH_AGENT_CLIENT_SECRET": client.client_secret.reveal(),
            "AUTH_AGENT_SECRET": "a secret of the website that is long enough",
            "AUTH_AGENT_BASE_URL": site,
            "AUTH_AGENT_PROTECT": "/private/*",
            "AUTH_AGENT_SCOPE": " ".join(scopes),
        }


@contextmanager
def serve_auth_server(directory, email="owner@example.com", verified=True):
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    scopes = (*SCOPES, "reports:read")
    app = create_app(
        ServerSettings(issuer=issuer, database=f"sqlite:///{directory}/auth.db", scopes=scopes)
    )
    database = app.state.context.database
    agent = add_agent(
        database, email, name="Shopper", model=MODEL, verified=verified, now=int(time.time())
    )
    with serve_asgi(app, port):
        yield AuthServer(issuer, database, agent.agent_id, agent.agent_secret.reveal())


@contextmanager
def run_site(auth_server, target, server="uvicorn", **environ):
    """Starts a website as its own process, configured by its environment alone; yields its URL."""
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    with run_process(target, server, port, {**auth_server.register(site), **environ}):
        yield site


@contextmanager
def run_process(target, server, port, environ):
    """Starts a server with this application; returns once it answers."""
    words = (word.format(port=port, target=target) for word in SERVERS[server])
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, env={**os.environ, **environ}) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/", process)
            yield
        finally:
            process.terminate()


def _wait_for(url, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nothing answers at {url}")
