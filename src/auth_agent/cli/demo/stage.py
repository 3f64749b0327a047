"""Starts the demo's processes, and removes every process, file and port at the end."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvicorn
from starlette.types import ASGIApp

from auth_agent.cli.demo.watch import Watch
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.registry.agents import AgentCredentials, add_agent
from auth_agent.server.registry.clients import add_client

START_SECONDS = 20.0
OWNER = "ada@example.com"
MODEL = "claude-sonnet-4"
SHOP = "Corner Shop"


class DemoFailed(Exception):
    """The demo cannot go on; the message is for people."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running server, a running website, and an agent that is new to both."""

    server: str
    website: str
    environment: Mapping[str, str]
    agent: AgentCredentials
    watch: Watch
    ended: Callable[[], int]


@contextmanager
def set_up() -> Iterator[Stage]:
    """Starts everything, and stops it again even after an error."""
    with tempfile.TemporaryDirectory(prefix="auth-agent-demo-") as folder:
        server, website = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        settings = ServerSettings(issuer=server, database=f"sqlite:///{folder}/auth-agent.db")
        app = create_app(settings)
        database = app.state.context.database
        callback = f"{website}/auth-agent/callback"
        client = add_client(database, SHOP, [callback], now=int(time.time()))
        agent = add_agent(
            database, OWNER, name="Ada's assistant", model=MODEL, now=int(time.time())
        )
        environment = {
            "AUTH_AGENT_ISSUER": server,
            "AUTH_AGENT_CLIENT_ID": client.client_id,
            "AUTH_AGENT_CLIENT_SECRET": (client.client_secret or Secret("")).reveal(),
            "AUTH_AGENT_SECRET": secrets.token_urlsafe(48),
            "AUTH_AGENT_BASE_URL": website,
            "AUTH_AGENT_PROTECT": "/members/*",
        }
        watch = Watch(app)
        with (
            _website(website, environment, Path(folder, "website.log")) as process,
            _server(server, watch),
        ):
            _await_start(f"{server}/health")
            _await_start(f"{website}/shop.css", process, Path(folder, "website.log"))
            yield Stage(server, website, environment, agent, watch, process.wait)


def new_client(base_url: str) -> httpx2.Client:
    """Returns a client that ignores the environment's proxies."""
    return httpx2.Client(base_url=base_url, trust_env=False, timeout=10)


@contextmanager
def _server(url: str, app: ASGIApp) -> Iterator[None]:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=_port(url), log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="auth-agent-server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def _website(
    url: str, environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the website in its own process, which ends with its standard input."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT_")}
    kept |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "auth_agent.cli.demo.site", str(_port(url))],
            env={**kept, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the website
        )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_start(
    url: str, process: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    until = time.monotonic() + START_SECONDS
    with new_client(url) as client:
        while time.monotonic() < until:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            if process is not None and process.poll() is not None:
                break
            time.sleep(0.02)
    said = log.read_text(errors="replace").strip() if log is not None else ""
    raise DemoFailed(f"{url} did not start.\n{said}".strip())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
