"""The frameworks' own way: token verifiers of both packages, and FastMCP's provider."""

from __future__ import annotations

import time

import anyio
import httpx2
import pytest
from fastmcp import FastMCP
from fastmcp.server.auth.auth import TokenVerificationError
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from auth_agent import RelyingParty
from auth_agent.errors import SettingsError
from auth_agent_mcpserver import AgentTokenVerifier, AuthAgentProvider, protect
from tests.mcpserver.sites import fill, ran, result_of, settings_of, text_of
from tests.proofs import Holder


def build_mcp(_kind, provider, base_url):
    settings = settings_of(provider, base_url, audience=None)
    auth = AuthSettings(
        issuer_url=provider.issuer,
        resource_server_url=f"{base_url}/mcp",
        required_scopes=[],
        validate_token_resource=True,
    )
    verifier = AgentTokenVerifier(settings)
    server = fill(MCPServer("Invoices", auth=auth, token_verifier=verifier, log_level="ERROR"))
    return server.streamable_http_app()


def build_fastmcp(_kind, provider, base_url):
    settings = settings_of(provider, base_url, audience=None)
    return fill(FastMCP("Invoices", auth=AuthAgentProvider(settings))).http_app()


@pytest.fixture(scope="module", params=[build_mcp, build_fastmcp])
def world(request, serve):
    return serve("own", app=request.param)


@pytest.fixture(autouse=True)
def _nothing_ran():
    ran.clear()


def test_an_agent_gets_in_and_is_known(world):
    answer = world.agent().modern("tools/call", {"name": "whoami", "arguments": {}})
    assert text_of(answer) == "agent_7"
    agent = world.agent("agent_8")
    answer = agent.call("tools/call", {"name": "whoami", "arguments": {}}, agent.open_session())
    assert text_of(answer) == "agent_8"


def test_what_is_said_at_a_tool_holds(world):
    params = {"name": "delete_invoice", "arguments": {"number": "1"}}
    refused = result_of(world.agent().modern("tools/call", params))["result"]
    assert refused["isError"] is True
    assert "invoices:write" in refused["content"][0]["text"]
    assert ran == []
    allowed = world.agent(scope="invoices:write").modern("tools/call", params)
    assert text_of(allowed) == "deleted 1"


@pytest.mark.parametrize(
    "bent", [{"aud": "https://other.example"}, {"iss": "https://evil.example"}, {"exp": 1}]
)
def test_a_token_that_fails_a_check_is_401(world, bent):
    agent = world.agent()
    claims = {"aud": f"{world.base_url}/mcp", **bent}
    agent.headers["authorization"] = f"Bearer {world.provider.access_token(**claims)}"
    assert agent.modern("tools/list").status_code == 401
    assert httpx2.post(f"{world.base_url}/mcp", json={}).status_code == 401


def test_a_session_answers_no_other_agent(world):
    session = world.agent().open_session()
    params = {"name": "whoami", "arguments": {}}
    assert world.agent("agent_8").call("tools/call", params, session).status_code == 404


def test_the_rules_of_the_website_hold(issuer):
    settings = settings_of(issuer, "https://m.example")
    token = issuer.access_token(aud="https://m.example/mcp")

    def verify(**hooks):
        verifier = AgentTokenVerifier(relying_party=RelyingParty(settings, **hooks))
        return anyio.run(verifier.verify_token, token)

    verified = verify()
    assert (verified.client_id, verified.subject) == ("agent_7", "agent_7")
    assert verified.resource == "https://m.example/mcp"
    assert verified.claims["iss"] == issuer.issuer
    assert verify(is_welcome=lambda agent: False) is None
    denied = settings_of(issuer, "https://m.example", deny_agents="agent_7", protect="/*")
    assert anyio.run(AgentTokenVerifier(denied).verify_token, token) is None
    for wrong in ("", "a b", "x" * 40_000, "a.b.c", "\r\n"):
        assert anyio.run(AgentTokenVerifier(settings).verify_token, wrong) is None


def test_a_bound_token_is_refused_because_no_proof_can_be_seen(world):
    """Refuses because the packages give their verifiers the token alone, without its proof."""
    holder = Holder()
    agent = world.agent()
    token = world.provider.access_token(aud=f"{world.base_url}/mcp", cnf={"jkt": holder.jkt})
    url = f"{world.base_url}/mcp"
    for scheme in ("Bearer", "DPoP"):
        agent.headers["authorization"] = f"{scheme} {token}"
        agent.headers["dpop"] = holder.proof("POST", url, time.time(), token)
        assert agent.modern("tools/list").status_code == 401


def test_a_server_that_is_away_is_no_refusal(issuer):
    settings = settings_of(issuer, "https://m.example", issuer="http://127.0.0.1:9")
    verifier = AgentTokenVerifier(settings)
    with pytest.raises(TokenVerificationError):
        anyio.run(verifier.verify_token, issuer.access_token(aud="https://m.example/mcp"))


def test_an_endpoint_that_is_not_the_audience_does_not_start(issuer):
    provider = AuthAgentProvider(settings_of(issuer, "https://m.example"))
    with pytest.raises(SettingsError, match="the URL that clients call"):
        FastMCP("x", auth=provider).http_app(path="/other")


def test_two_guards_are_one_too_many(issuer):
    settings = settings_of(issuer, "https://m.example")
    server = FastMCP("x", auth=AuthAgentProvider(settings))
    with pytest.raises(SettingsError, match="remove it"):
        protect(server, settings=settings)
