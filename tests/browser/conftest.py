from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

import httpx2
import pytest
from playwright.sync_api import sync_playwright

from auth_agent.server import Database, ServerSettings, create_app
from auth_agent.server.registry import add_agent, add_client
from tests.adapters.network import free_port, serve_asgi

CHROMIUM = shutil.which("chromium")


class World(NamedTuple):
    """A real server, a real example site, and the credentials of an agent."""

    site: str
    issuer: str
    agent_id: str
    agent_secret: str


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        reason = "chromium is not installed: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('browser')}/auth-agent.db"
    issuer_port, site_port = free_port(), free_port()
    issuer, site = (f"http://127.0.0.1:{port}" for port in (issuer_port, site_port))
    app = create_app(ServerSettings(issuer=issuer, database=url))
    database = app.state.context.database
    assert isinstance(database, Database)
    client = add_client(database, "Example shop", [f"{site}/auth-agent/callback"])
    agent = add_agent(database, "owner@example.com", name="Shopper", model="claude-opus-4")
    environ = {
        "AUTH_AGENT_ISSUER": issuer,
        "AUTH_AGENT_CLIENT_ID": client.client_id,
        "AUTH_AGENT_CLIENT_SECRET": client.client_secret.reveal(),
        "AUTH_AGENT_SECRET": "a secret of the website that is long enough",
        "AUTH_AGENT_BASE_URL": site,
        "AUTH_AGENT_PROTECT": "/private/*",
    }
    with serve_asgi(app, issuer_port), run_site("examples.starlette_site:app", site_port, environ):
        yield World(site, issuer, agent.agent_id, agent.agent_secret.reveal())


@contextmanager
def run_site(target, port, environ):
    """An example site as its own process, configured by nothing but its environment."""
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        target,
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with subprocess.Popen(command, env={**os.environ, **environ}) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/", process)
            yield
        finally:
            process.terminate()


def _wait_for(url, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nothing answers at {url}")
