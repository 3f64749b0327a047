"""The official MCP clients in front of a guarded MCP server and a real Auth Agent server.

They know nothing of this project: with a key of the agent, or in a browser that an agent answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import fastmcp
import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.exchange.html import request_ids
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.registry.resources import add_resource
from tests.adapters.network import free_port, serve_asgi
from tests.mcpserver.sites import make_app


@dataclass
class World:
    """A guarded MCP server, its Auth Agent server, and two agents: one with a key, one without."""

    issuer: str
    mcp: str
    pem: str
    signer: str
    agent_id: str
    secret: str


@pytest.fixture(scope="module", params=["mcp", "fastmcp"])
def world(request: Any, tmp_path_factory: Any) -> Any:
    issuer, base = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    url = f"sqlite:///{tmp_path_factory.mktemp('clients')}/auth-agent.db"
    app = create_app(ServerSettings(issuer=issuer, database=url))
    database, now = app.state.context.database, int(time.time())
    add_resource(database, f"{base}/mcp", name="Invoices", scopes=["invoices:write"], now=now)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signer = add_agent(database, "key@owner.example", public_key=public.decode(), now=now)
    agent = add_agent(database, "ann@owner.example", model="m", now=now)
    guarded = make_app(request.param, _Issuer(issuer), base)
    with (
        serve_asgi(app, int(issuer.rpartition(":")[2])),
        serve_asgi(guarded, int(base.rpartition(":")[2])),
    ):
        secret = agent.agent_secret.reveal()
        yield World(issuer, f"{base}/mcp", pem, signer.agent_id, agent.agent_id, secret)


@dataclass
class _Issuer:
    issuer: str


class _Storage:
    """The client's own memory."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


async def _call(world: World, auth: httpx2.Auth, tool: str = "whoami", **arguments: str) -> str:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=20) as http,
        Client(streamable_http_client(world.mcp, http_client=http)) as client,
    ):
        return str((await client.call_tool(tool, arguments)).content[0].text)


async def _approve(world: World, url: str) -> str:
    """Answers as the agent in the client's browser; returns where the browser ends up."""
    async with httpx2.AsyncClient(timeout=20) as browser:
        page = await browser.get(url)
        assert page.status_code == 200, page.text
        (found,) = request_ids(HttpResponse(200, dict(page.headers), page.content))
        told = (await browser.get(f"{world.issuer}/api/auth-requests/{found}")).json()
        assert (told["resources"], told["is_native"]) == ([world.mcp], True)
        body = {"request_id": found, "agent_id": world.agent_id, "agent_secret": world.secret}
        answer = await browser.post(f"{world.issuer}/api/agent/authenticate", json=body)
        assert answer.status_code == 200, answer.text
        done = await browser.get(f"{world.issuer}/authorize/continue", params={"request_id": found})
        return str(done.headers["location"])


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_the_mcp_client_gets_in_with_the_agents_key_alone(world: World, kind: Any) -> None:
    sdk = kind(agent_id=world.signer, private_key=world.pem, server_url=world.issuer)
    assert anyio.run(_call, world, sdk.mcp_auth()) == world.signer


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_fastmcps_client_gets_in_with_the_agents_key_alone(world: World, kind: Any) -> None:
    sdk = kind(agent_id=world.signer, private_key=world.pem, server_url=world.issuer)

    async def main() -> str:
        async with fastmcp.Client(world.mcp, auth=sdk.mcp_auth()) as client:
            return str((await client.call_tool("whoami", {})).content[0].text)

    assert anyio.run(main) == world.signer


def test_a_tool_that_needs_more_is_asked_for_with_more(world: World) -> None:
    sdk = AsyncAgentSDK(agent_id=world.signer, private_key=world.pem, server_url=world.issuer)

    async def main() -> str:
        return await _call(world, sdk.mcp_auth(), "delete_invoice", number="7")

    assert anyio.run(main) == "deleted 7"


def test_the_official_extension_takes_an_agents_key(world: World) -> None:
    """Uses io.modelcontextprotocol/oauth-client-credentials with a five-minute assertion."""
    signed = SignedJWTParameters(
        issuer=world.signer,
        subject=world.signer,
        signing_key=world.pem,
        signing_algorithm="ES256",
    )
    auth = PrivateKeyJWTOAuthProvider(
        server_url=world.mcp,
        storage=_Storage(),
        client_id=world.signer,
        assertion_provider=signed.create_assertion_provider(),
        issuer=world.issuer,
    )
    assert anyio.run(_call, world, auth) == world.signer


def test_the_mcp_client_registers_and_an_agent_answers_its_browser(world: World) -> None:
    went: list[str] = []

    async def redirect(url: str) -> None:
        went.append(await _approve(world, url))

    async def callback() -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(went[-1]).query)
        return AuthorizationCodeResult(
            code=query["code"][0], state=query["state"][0], iss=query["iss"][0]
        )

    auth = OAuthClientProvider(
        server_url=world.mcp,
        client_metadata=OAuthClientMetadata(
            client_name="An IDE", redirect_uris=["http://127.0.0.1:49152/callback"]
        ),
        storage=_Storage(),
        redirect_handler=redirect,
        callback_handler=callback,
    )
    assert anyio.run(_call, world, auth) == world.agent_id
    assert len(went) == 1


class _Browser(OAuth):
    """FastMCP's own client, with an agent in front of the browser that it would open."""

    world: World

    async def redirect_handler(self, authorization_url: str) -> None:
        target = await _approve(self.world, authorization_url)

        async def come_back() -> None:
            async with httpx2.AsyncClient(timeout=20) as browser:
                while True:
                    try:
                        await browser.get(target)
                    except httpx2.ConnectError:  # it listens a moment later
                        await anyio.sleep(0.05)
                    else:
                        return

        import asyncio

        self._back = asyncio.ensure_future(come_back())


@pytest.mark.filterwarnings("ignore:Using in-memory token storage")
def test_fastmcps_client_registers_and_an_agent_answers_its_browser(world: World) -> None:
    async def main() -> str:
        auth = _Browser(world.mcp, token_storage=MemoryStore(), callback_port=free_port())
        auth.world = world
        async with fastmcp.Client(world.mcp, auth=auth) as client:
            return str((await client.call_tool("whoami", {})).content[0].text)

    assert anyio.run(main) == world.agent_id
