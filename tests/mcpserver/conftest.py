from __future__ import annotations

from contextlib import ExitStack

import pytest

from auth_agent.testing import FakeServer
from tests.adapters.network import free_port, serve_asgi, serve_provider
from tests.mcpserver import sites
from tests.mcpserver.sites import Agent, make_app

KINDS = ("mcp", "fastmcp")
MODES = {"stateful": {}, "stateless": {"stateless_http": True}, "json": {"json_response": True}}


@pytest.fixture(scope="session")
def issuer():
    """Starts the fake server over HTTP, once for all guarded servers of these tests."""
    port = free_port()
    provider = FakeServer(f"http://127.0.0.1:{port}")
    with serve_provider(provider, port):
        yield provider


class World:
    """A guarded server, and the agents that call it."""

    def __init__(self, base_url, provider, stack):
        self.base_url, self.provider, self._stack = base_url, provider, stack

    def agent(self, agent_id="agent_7", scope="openid", **claims):
        return self._stack.enter_context(
            Agent(self.base_url, self.provider, agent_id, scope, **claims)
        )


@pytest.fixture(scope="session")
def serve(issuer):
    """Starts a guarded server and returns its world."""
    with ExitStack() as running:

        def start(kind, app=None, **options):
            port = free_port()
            base_url = f"http://127.0.0.1:{port}"
            made = (app or make_app)(kind, issuer, base_url, **options)
            running.enter_context(
                serve_asgi(made, port, loop="asyncio", timeout_graceful_shutdown=2)
            )
            return World(base_url, issuer, running)

        yield start


@pytest.fixture(scope="session")
def worlds(serve):
    """Starts every package in every mode when it is first asked for."""
    started = {}

    def world(kind, mode="stateful"):
        if (kind, mode) not in started:
            started[kind, mode] = serve(kind, **MODES[mode])
        return started[kind, mode]

    return world


@pytest.fixture(params=[(kind, mode) for kind in KINDS for mode in MODES], ids="-".join)
def world(request, worlds):
    sites.ran.clear()
    return worlds(*request.param)


@pytest.fixture(params=KINDS)
def stateful(request, worlds):
    sites.ran.clear()
    return worlds(request.param)
