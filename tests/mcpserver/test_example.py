"""The example, guarded by two variables, against the real server, with the clients of both SDKs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import anyio
import httpx2
import pytest
from fastmcp import Client as FastClient
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from auth_agent.flow import drive
from auth_agent.server.registry.agents import add_agent
from tests.adapters.network import free_port, serve_asgi
from tests.world import MODEL, run_process, serve_auth_server

DOCUMENT = (Path(__file__).parents[2] / "docs/websites/mcp.md").read_text()


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("auth")) as server:
        yield server
    drive.close()


@pytest.fixture(scope="module")
def url(auth_server):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    environ = {"AUTH_AGENT_ISSUER": auth_server.issuer, "AUTH_AGENT_BASE_URL": base_url}
    with run_process("examples.mcp_server:app", "uvicorn", port, environ):
        yield f"{base_url}/mcp"


class Storage:
    """Where a client of `mcp` keeps what it was given."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, info):
        self.client = info


def by_secret(server, url):
    agent = add_agent(server.database, "owner@example.com", model=MODEL, now=int(time.time()))
    return agent.agent_id, ClientCredentialsOAuthProvider(
        url, Storage(), agent.agent_id, agent.agent_secret.reveal(), issuer=server.issuer
    )


def by_key(server, url):
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    key = generate_private_key(SECP256R1())
    private = key.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    )
    agent = add_agent(
        server.database,
        "owner@example.com",
        model=MODEL,
        public_key=public.decode(),
        now=int(time.time()),
    )
    signed = SignedJWTParameters(
        issuer=agent.agent_id,
        subject=agent.agent_id,
        signing_key=private,
        signing_algorithm="ES256",
    )
    return agent.agent_id, PrivateKeyJWTOAuthProvider(
        url, Storage(), agent.agent_id, signed.create_assertion_provider(), issuer=server.issuer
    )


@pytest.fixture(params=[by_secret, by_key])
def proof(request, auth_server, url):
    return request.param(auth_server, url)


async def use_all(client, agent_id):
    tools = [tool.name for tool in (await client.list_tools()).tools]
    assert tools == ["search_products", "my_orders", "refund"]
    orders = await client.call_tool("my_orders", {})
    assert orders.structured_content["agent"] == agent_id
    refunded = await client.call_tool("refund", {"number": "A-1001"})
    assert refunded.content[0].text == f"A-1001 is refunded for {agent_id}"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_gets_in_by_itself(url, proof, mode):
    agent_id, auth = proof

    async def visit():
        async with (
            httpx2.AsyncClient(auth=auth, timeout=20) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            await use_all(client, agent_id)

    anyio.run(visit)


def test_the_client_of_fastmcp_gets_in_by_itself(url, auth_server):
    agent_id, auth = by_secret(auth_server, url)

    async def visit():
        async with FastClient(url, auth=auth) as client:
            answer = await client.call_tool("refund", {"number": "A-1002"})
            assert answer.content[0].text == f"A-1002 is refunded for {agent_id}"

    anyio.run(visit)


def test_a_token_without_the_scope_is_told_which_one_is_missing(url, auth_server):
    form = {"grant_type": "client_credentials", "resource": url, "scope": "reports:read"}
    proof = (auth_server.agent_id, auth_server.agent_secret)
    answer = httpx2.post(f"{auth_server.issuer}/token", data=form, auth=proof).json()
    headers = {"authorization": f"Bearer {answer['access_token']}"}

    async def visit():
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            assert (await client.call_tool("search_products", {"word": "hat"})).content
            with pytest.raises(MCPError, match="refunds:write"):
                await client.call_tool("refund", {"number": "A-1001"})

    anyio.run(visit)


def snippet(name):
    found = re.search(rf"<!-- run: {name} -->\n```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found, f"docs/websites/mcp.md has no snippet {name}"
    return found[1]


@pytest.mark.parametrize("name", re.findall(r"<!-- run: (\w+) -->", DOCUMENT))
def test_the_snippets_of_the_document_run(name, monkeypatch, issuer):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("AUTH_AGENT_ISSUER", issuer.issuer)
    monkeypatch.setenv("AUTH_AGENT_BASE_URL", base_url)
    namespace = {"__name__": f"snippet_{name}"}
    exec(snippet(name), namespace)  # noqa: S102  # our own document
    with serve_asgi(namespace["app"], port, loop="asyncio"):
        refused = httpx2.post(f"{base_url}/mcp", json={})
        assert refused.status_code == 401
        metadata = f"{base_url}/.well-known/oauth-protected-resource/mcp"
        assert metadata in refused.headers["www-authenticate"]
        document = httpx2.get(metadata).json()
        assert document["resource"] == f"{base_url}/mcp"
        assert document["authorization_servers"] == [issuer.issuer]
        token = issuer.access_token(aud=f"{base_url}/mcp")
        headers = {
            "authorization": f"Bearer {token}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        allowed = httpx2.post(f"{base_url}/mcp", json=ping, headers=headers)
        assert allowed.status_code not in (401, 403, 404, 421), allowed.text
