"""`auth-agent mcp --http`: the tools over HTTP, for those alone who may act as the agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from auth_agent.cli.program import app
from auth_agent.sdk import AsyncAgentSDK
from auth_agent.server.registry.agents import add_agent
from tests.cli.agent.test_mcp import MAIN, structured
from tests.sdk.conftest import World, _world, agent_key, run_async, world  # noqa: F401
from tests.services import free_port


@pytest.fixture
def serve(world):  # noqa: F811
    """Starts the command; returns the URL once it answers."""
    started = []

    def start(*words):
        url = f"http://127.0.0.1:{free_port()}/mcp"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")}
        environ = {
            **kept,
            "AUTH_AGENT_AGENT_ID": world.agent_id,
            "AUTH_AGENT_AGENT_ISSUER": world.issuer,
            "AUTH_AGENT_AGENT_MODEL": "claude-sonnet-4",
            "AUTH_AGENT_AGENT_SECRET": world.secret,
        }
        command = [sys.executable, "-c", MAIN, "mcp", "--http", url, *words]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        started.append(process)
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                httpx2.get(url)
            except httpx2.TransportError:
                time.sleep(0.05)
            else:
                return url
        pytest.fail(process.communicate(timeout=10)[1])

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert world.secret not in errors


def call(url, auth, *calls):
    """Calls the tools, each in a session of its own."""

    async def main():
        answers = []
        for name, words in calls:
            async with (
                httpx2.AsyncClient(auth=auth, timeout=30) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                answers.append(await client.call_tool(name, words))
        return answers

    return run_async(main)


def test_the_agent_itself_uses_its_tools(serve, world):  # noqa: F811
    url = serve()
    sdk = AsyncAgentSDK(**world.options(allowed_resources=[url]))
    me = f"{world.website}/me"
    signed_in, after = call(
        url, sdk.mcp_auth(), ("sign_in_with_auth_agent", {"url": me}), ("who_am_i", {"site": me})
    )
    assert structured(signed_in)["signed_in"]
    assert structured(after)["signed_in"], "the session outlives that of the MCP client"
    assert structured(after)["agent_id"] == world.agent_id


def token_of(world, url, agent_id, secret):  # noqa: F811
    answer = httpx2.post(
        f"{world.issuer}/token",
        data={"grant_type": "client_credentials", "resource": url},
        auth=(agent_id, secret),
    )
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def tools_of(url, headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"accept": "application/json, text/event-stream"}
    return httpx2.post(url, json=body, headers={**accept, **headers})


def test_nobody_else_gets_in(serve, world):  # noqa: F811
    names = ("bob@owner.example", "eve@owner.example")
    friend, other = (add_agent(world.database, one, now=int(time.time())) for one in names)
    url = serve("--allow", friend.agent_id)
    assert tools_of(url, {}).status_code == 401
    assert tools_of(url, {"authorization": "Bearer x"}).status_code == 401
    elsewhere = token_of(world, "https://api.example", world.agent_id, world.secret)
    assert tools_of(url, elsewhere).status_code == 401, "a token for another API"
    stranger = token_of(world, url, other.agent_id, other.agent_secret.reveal())
    assert tools_of(url, stranger).status_code == 403, "another agent of the same server"
    named = token_of(world, url, friend.agent_id, friend.agent_secret.reveal())
    assert tools_of(url, named).status_code not in (401, 403)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--http", "http://shop.example/mcp"), "--http"),
        (("--http", "http://127.0.0.1:8765/"), "needs a path"),
        (("--http", "https://tools.example/mcp"), "--port is missing"),
    ],
)
def test_a_url_that_cannot_be_served(words, told):
    variables = {name: None for name in os.environ if name.startswith("AUTH_AGENT")}
    variables |= {
        "AUTH_AGENT_AGENT_ID": "agent_x",
        "AUTH_AGENT_AGENT_ISSUER": "http://127.0.0.1:1",
        "AUTH_AGENT_AGENT_SECRET": "s" * 40,
    }
    ended = CliRunner().invoke(app, ["mcp", *words], env=variables)
    assert ended.exit_code == 2
    assert told in ended.output
