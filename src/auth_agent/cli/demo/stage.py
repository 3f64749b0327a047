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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx2
import uvicorn
from starlette.types import ASGIApp

from auth_agent.cli.demo.mail import Postbox
from auth_agent.cli.demo.narrator import DemoFailed
from auth_agent.cli.demo.tools import SCOPES, Tools, has_mcp
from auth_agent.cli.demo.watch import Watch
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry.agents import AgentCredentials, add_agent
from auth_agent.server.registry.clients import ClientCredentials, add_client
from auth_agent.server.registry.resources import add_resource

START_SECONDS = 20.0
OWNER = "ada@example.com"
MODEL = "claude-sonnet-4"
SHOP = "Corner Shop"
AGENT_SCOPES = ("openid", "profile", "email", *SCOPES[:2])


@dataclass(frozen=True, slots=True)
class Stage:
    """A running server, a running website, and an agent that is new to both.

    `tools` is None without the extra that an MCP server needs.
    """

    server: str
    website: str
    tools: Tools | None
    environment: Mapping[str, str]
    agent: AgentCredentials
    watch: Watch
    postbox: Postbox
    ended: Callable[[], int]


@contextmanager
def set_up() -> Iterator[Stage]:
    """Starts everything, and stops it again even after an error."""
    with (
        tempfile.TemporaryDirectory(prefix="auth-agent-demo-") as folder,
        ExitStack() as running,
        _without_proxies(),
    ):
        server, website, tools = (f"http://127.0.0.1:{_free_port()}" for _ in range(3))
        postbox = Postbox()
        settings = ServerSettings(issuer=server, database=f"sqlite:///{folder}/auth-agent.db")
        app = create_app(settings, outbox=Outbox(postbox.deliver))
        database, now = app.state.context.database, int(time.time())
        add_resource(database, f"{tools}/mcp", scopes=SCOPES, now=now)
        client = add_client(database, SHOP, [f"{website}/auth-agent/callback"], now=now)
        environment = _environment(server, website, client)
        shop = running.enter_context(_running("shop", website, environment, Path(folder)))
        agent = add_agent(
            database, OWNER, name="Ada's assistant", model=MODEL, scopes=AGENT_SCOPES, now=now
        )
        watch = Watch(app)
        running.enter_context(_server(server, watch))
        toolbox = Tools(server, tools, _server, running) if has_mcp() else None
        _await_start(f"{server}/health")
        _await_start(f"{website}/shop.css", shop)
        yield Stage(
            server,
            website,
            toolbox,
            environment,
            agent,
            watch,
            postbox,
            shop.process.wait,
        )


def _environment(server: str, website: str, client: ClientCredentials) -> dict[str, str]:
    return {
        "AUTH_AGENT_ISSUER": server,
        "AUTH_AGENT_CLIENT_ID": client.client_id,
        "AUTH_AGENT_CLIENT_SECRET": (client.client_secret or Secret("")).reveal(),
        "AUTH_AGENT_SECRET": secrets.token_urlsafe(48),
        "AUTH_AGENT_BASE_URL": website,
        "AUTH_AGENT_PROTECT": "/members/*",
    }


@contextmanager
def _without_proxies() -> Iterator[None]:
    """Keeps the demo's requests on this machine; they are all to 127.0.0.1."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "127.0.0.1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def new_client(base_url: str) -> httpx2.Client:
    """Returns a client that ignores the environment's proxies."""
    return httpx2.Client(base_url=base_url, trust_env=False, timeout=10)


@contextmanager
def _server(url: str, app: ASGIApp) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=_port(url),
        log_level="warning",
        access_log=False,
        workers=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name=f"server at {url}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


class _Run(NamedTuple):
    """A website's process, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def _running(name: str, url: str, environment: Mapping[str, str], folder: Path) -> Iterator[_Run]:
    """Runs a website in its own process, which ends with its standard input."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT_")}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", f"auth_agent.cli.demo.sites.{name}", str(_port(url))],
            env={**kept, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the website
        )
    try:
        yield _Run(process, log)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_start(url: str, run: _Run | None = None) -> None:
    until = time.monotonic() + START_SECONDS
    with new_client(url) as client:
        while time.monotonic() < until:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            if run is not None and run.process.poll() is not None:
                break
            time.sleep(0.02)
    said = run.log.read_text(errors="replace").strip() if run is not None else ""
    raise DemoFailed(f"{url} did not start.\n{said}".strip())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
