"""Who reaches which tool, resource and prompt: every package, every mode, both revisions."""

from __future__ import annotations

import base64

import httpx2
import pytest

from tests.mcpserver.sites import ACCEPT, MODERN, ran, result_of, text_of

REVISIONS = ("modern", "handshake")
DELETE = {"name": "delete_invoice", "arguments": {"number": "1"}}


@pytest.fixture(params=REVISIONS)
def ask(request, world):
    """Sends one request of an agent in one revision."""

    def send(agent, method, params):
        if request.param == "modern":
            return agent.modern(method, params)
        return agent.call(method, params, agent.open_session())

    return send


def call_tool(ask, agent, name, **arguments):
    return ask(agent, "tools/call", {"name": name, "arguments": arguments})


class TestNobody:
    def test_without_a_token_nothing_is_answered(self, world):
        for method in ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"):
            for path in ("/mcp", "/mcp/", "//mcp", "/other", "/messages/"):
                answer = httpx2.request(method, world.base_url + path, headers=ACCEPT)
                assert answer.status_code == 401, (method, path)
        assert ran == []

    def test_the_refusal_says_where_tokens_come_from(self, world):
        answer = httpx2.post(f"{world.base_url}/mcp", json={"jsonrpc": "2.0", "id": 7})
        metadata = f"{world.base_url}/.well-known/oauth-protected-resource/mcp"
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert f'resource_metadata="{metadata}"' in challenge
        assert "error=" not in challenge, "RFC 6750 3.1: no error where no token came"
        assert answer.json()["jsonrpc"] == "2.0"
        assert "login_url" not in answer.text
        document = httpx2.get(metadata).json()
        assert document["resource"] == f"{world.base_url}/mcp"
        assert document["authorization_servers"] == [world.provider.issuer]
        assert document["scopes_supported"] == [
            *("danger", "ledger:read", "prompts:secret", "invoices:write", "vault:read")
        ]

    def test_the_challenge_names_the_scopes_of_the_tool_that_is_called(self, world):
        headers = {"mcp-method": "tools/call", "mcp-name": "danger_zone"}
        answer = httpx2.post(f"{world.base_url}/mcp", json={}, headers=headers)
        assert 'scope="danger"' in answer.headers["www-authenticate"]

    @pytest.mark.parametrize(
        "bent", [{"aud": "https://other.example"}, {"iss": "https://evil.example"}, {"exp": 1}]
    )
    def test_a_token_that_fails_a_check_is_401(self, stateful, bent):
        agent = stateful.agent()
        claims = {"aud": f"{stateful.base_url}/mcp", **bent}
        agent.headers["authorization"] = f"Bearer {stateful.provider.access_token(**claims)}"
        answer = agent.modern("tools/call", {"name": "whoami", "arguments": {}})
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert answer.json()["error"]["data"]["error"] == "invalid_token"

    def test_opaque_tokens_are_refused_without_client_credentials(self, stateful):
        agent = stateful.agent()
        agent.headers["authorization"] = "Bearer opaque-token"
        assert agent.modern("tools/list").status_code == 401

    def test_a_preflight_passes(self, world):
        headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
        answer = httpx2.options(f"{world.base_url}/mcp", headers=headers)
        assert answer.status_code != 401

    def test_sockets_are_closed(self, stateful):
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        url = stateful.base_url.replace("http", "ws") + "/mcp"
        headers = {"authorization": stateful.agent().headers["authorization"]}
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403


class TestTools:
    def test_an_agent_calls_what_needs_nothing_more(self, world, ask):
        answer = call_tool(ask, world.agent(), "whoami")
        assert (answer.status_code, text_of(answer)) == (200, "agent_7")

    def test_the_context_names_the_agent(self, world, ask):
        assert text_of(call_tool(ask, world.agent("agent_8"), "by_context")) == "agent_8"

    @pytest.mark.parametrize(
        ("name", "arguments", "scope"),
        [
            ("delete_invoice", {"number": "1"}, "invoices:write"),
            ("send_invoice", {"number": "1"}, "invoices:write"),
            ("danger_zone", {}, "danger"),
        ],
    )
    def test_a_tool_that_needs_a_scope_is_a_true_403(self, world, ask, name, arguments, scope):
        refused = call_tool(ask, world.agent(), name, **arguments)
        assert refused.status_code == 403
        challenge = refused.headers["www-authenticate"]
        assert challenge.index('error="insufficient_scope"') < challenge.index("error_description")
        assert challenge.index(f'scope="{scope}"') < challenge.index("error_description")
        assert "resource_metadata=" in challenge
        error = result_of(refused)["error"]
        assert (error["code"], error["data"]["scope"]) == (-32001, scope)
        assert result_of(refused)["id"] in (1, None)
        assert ran == []
        allowed = call_tool(ask, world.agent(scope=f"openid {scope}"), name, **arguments)
        assert allowed.status_code == 200
        assert "isError" not in allowed.text or '"isError":false' in allowed.text
        assert [tool for tool, _ in ran] == [name]

    def test_an_unknown_tool_is_the_servers_matter(self, world, ask):
        assert call_tool(ask, world.agent(), "DELETE_INVOICE").status_code in (200, 400)
        assert ran == []

    def test_a_name_in_base64_is_judged(self, world):
        name = base64.b64encode(b"delete_invoice").decode()
        params = {"name": "delete_invoice", "arguments": {"number": "1"}}
        headers = {"mcp-name": f"=?base64?{name}?="}
        refused = world.agent().modern("tools/call", params, headers)
        assert (refused.status_code, ran) == (403, [])

    def test_the_scopes_are_those_of_this_requests_token(self, stateful):
        agent = stateful.agent()
        session = agent.open_session()
        agent.renew(scope="openid invoices:write")
        params = {"name": "scopes", "arguments": {}}
        assert "invoices:write" in text_of(agent.call("tools/call", params, session))
        params = {"name": "delete_invoice", "arguments": {"number": "1"}}
        assert agent.call("tools/call", params, session).status_code == 200
        agent.renew(scope="openid")
        assert agent.call("tools/call", params, session).status_code == 403


class TestResourcesAndPrompts:
    @pytest.mark.parametrize(
        ("method", "params", "scope"),
        [
            ("resources/read", {"uri": "secret://ledger"}, "ledger:read"),
            ("resources/read", {"uri": "secret://x/page"}, "ledger:read"),
            ("resources/read", {"uri": "vault://gold"}, "vault:read"),
            ("prompts/get", {"name": "secret_greeting"}, "prompts:secret"),
        ],
    )
    def test_each_needs_its_scope(self, world, ask, method, params, scope):
        refused = ask(world.agent(), method, params)
        assert (refused.status_code, ran) == (403, [])
        assert f'scope="{scope}"' in refused.headers["www-authenticate"]
        assert ask(world.agent(scope=scope), method, params).status_code == 200
        assert len(ran) == 1

    @pytest.mark.parametrize(
        "uri",
        ["SECRET://ledger", "secret://LEDGER", "secret%3A//ledger", "secret://%6cedger",
         "secret://ledger?x=1", "secret://ledger#a", " secret://ledger", "secret://./ledger"],
    )  # fmt: skip
    def test_no_other_spelling_of_a_uri_gets_around_its_rule(self, world, uri):
        refused = world.agent().modern("resources/read", {"uri": uri}, {"mcp-name": uri.strip()})
        assert refused.status_code in (400, 403)
        assert ran == []

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("completion/complete", {"ref": {"type": "ref/prompt", "name": "secret_greeting"}}),
            ("completion/complete", {"ref": {"type": "ref/resource", "uri": "secret://{name}"}}),
            ("resources/subscribe", {"uri": "secret://ledger"}),
            ("resources/unsubscribe", {"uri": "secret://ledger"}),
            (
                "subscriptions/listen",
                {"notifications": {"resourceSubscriptions": ["invoice://open", "secret://ledger"]}},
            ),
        ],
    )
    def test_what_reaches_their_data_otherwise_is_judged_too(self, world, ask, method, params):
        assert ask(world.agent(), method, params).status_code == 403

    def test_public_ones_stay_open_to_agents(self, world, ask):
        assert ask(world.agent(), "resources/read", {"uri": "invoice://open"}).status_code == 200
        assert ask(world.agent(), "prompts/get", {"name": "greet"}).status_code == 200


class TestHeaders:
    """Headers may refuse, never admit."""

    def test_a_header_refuses_without_the_body(self, world):
        agent = world.agent()
        headers = {
            "mcp-protocol-version": MODERN,
            "mcp-method": "tools/call",
            "mcp-name": "danger_zone",
        }
        assert agent.send_body(b"\x00" * 100, **headers).status_code == 403

    @pytest.mark.parametrize("version", [MODERN, "2025-11-25", "2025-03-26", "1999-01-01", None])
    def test_a_harmless_header_does_not_admit_another_body(self, world, version):
        agent = world.agent()
        headers = {"mcp-method": "tools/call", "mcp-name": "whoami"}
        if version is not None:
            headers["mcp-protocol-version"] = version
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": DELETE}
        answer = agent.send_body(body, **headers)
        assert answer.status_code == 400
        assert result_of(answer)["error"]["code"] == -32020
        assert ran == []

    @pytest.mark.parametrize(
        "doubled",
        ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "MCP-Method"],
    )
    def test_doubled_headers_are_refused(self, world, doubled):
        agent = world.agent(scope="invoices:write")
        values = {"mcp-protocol-version": ("2025-11-25", MODERN)}
        first, second = values.get(doubled.lower(), ("tools/call", "tools/list"))
        sent = {**agent.headers, **ACCEPT, "content-type": "application/json"}
        headers = [*sent.items(), (doubled, first), (doubled, second)]
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": DELETE}
        answer = httpx2.post(f"{world.base_url}/mcp", json=body, headers=headers)
        assert (answer.status_code, ran) == (400, [])

    def test_without_any_header_the_body_decides(self, world):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": DELETE}
        assert world.agent().send_body(body).status_code == 403
        assert ran == []

    def test_two_credentials_are_refused(self, stateful):
        agent = stateful.agent()
        headers = [("authorization", agent.headers["authorization"]), ("authorization", "Bearer x")]
        answer = httpx2.post(f"{stateful.base_url}/mcp", json={}, headers=headers)
        assert answer.status_code == 400
