"""The second line: one tool that runs another, mounted servers, caches, and other transports."""

from __future__ import annotations

import anyio
import pytest
from fastmcp import Client as FastClient
from fastmcp import FastMCP
from fastmcp.apps import FastMCPApp
from fastmcp.contrib.bulk_tool_caller import BulkToolCaller
from fastmcp.exceptions import ToolError
from fastmcp.server.middleware.caching import ResponseCachingMiddleware
from fastmcp.server.providers.addressing import hashed_backend_name
from fastmcp.server.transforms.search import BM25SearchTransform
from mcp.client.client import Client
from mcp.server.mcpserver import MCPServer

from auth_agent.errors import SettingsError
from auth_agent_mcpserver import Requirement, agent_of, protect, requires_agent
from tests.mcpserver.sites import fill, make_server, ran, result_of, settings_of, text_of

INNER = [
    ("delete_invoice", {"number": "1"}),
    ("danger_zone", {}),
    ("send_invoice", {"number": "1"}),
]


@pytest.fixture(autouse=True)
def _nothing_ran():
    ran.clear()


def is_refused(answer, *words):
    """Returns True for a tool error inside a 200: it is too late for a 403."""
    assert answer.status_code == 200
    result = result_of(answer)["result"]
    assert result["isError"] is True
    text = result["content"][0]["text"]
    return all(word in text for word in words)


@pytest.fixture(scope="module")
def searching(serve):
    server = fill(FastMCP("Invoices", transforms=[BM25SearchTransform()]))
    return serve("fastmcp", server=server)


class TestToolsThatRunTools:
    @pytest.mark.parametrize(("name", "arguments"), INNER)
    def test_the_search_transform_runs_nothing_that_is_forbidden(self, searching, name, arguments):
        params = {"name": "call_tool", "arguments": {"name": name, "arguments": arguments}}
        assert is_refused(searching.agent().modern("tools/call", params), "insufficient_scope")
        assert ran == []
        scopes = "invoices:write danger"
        answer = searching.agent(scope=scopes).modern("tools/call", params)
        assert answer.status_code == 200
        assert [tool for tool, _ in ran] == [name]

    def test_the_search_finds_nothing_that_is_hidden(self, serve):
        server = fill(FastMCP("Invoices", transforms=[BM25SearchTransform()]))
        world = serve("fastmcp", server=server, hide=True)
        params = {"name": "search_tools", "arguments": {"query": "delete invoice danger"}}
        answer = world.agent().modern("tools/call", params)
        assert answer.status_code == 200
        assert "danger_zone" not in str(result_of(answer)["result"].get("content"))

    def test_the_bulk_caller_runs_nothing_that_is_forbidden(self, serve):
        server = fill(FastMCP("Invoices"))
        BulkToolCaller().register_tools(server)
        world = serve("fastmcp", server=server)
        for name, arguments in INNER:
            calls = {"tool": name, "tool_arguments": [arguments]}
            params = {"name": "call_tool_bulk", "arguments": calls}
            answer = world.agent().modern("tools/call", params)
            assert "insufficient_scope" in answer.text, name
        assert ran == []


class TestMountedServers:
    @pytest.fixture(scope="class")
    @classmethod
    def mounted(cls, serve):
        parent = FastMCP("All")
        parent.mount(fill(FastMCP("Invoices")), namespace="billing")
        rules = {"tools": {"billing_danger_*": Requirement(scopes=["danger"])}}
        return serve("fastmcp", server=parent, **rules)

    @pytest.mark.parametrize(("name", "arguments"), INNER)
    def test_each_tool_is_a_true_403(self, mounted, name, arguments):
        params = {"name": f"billing_{name}", "arguments": arguments}
        assert mounted.agent().modern("tools/call", params).status_code == 403
        assert ran == []
        agent = mounted.agent(scope="invoices:write danger")
        assert agent.modern("tools/call", params).status_code == 200
        assert [tool for tool, _ in ran] == [name]

    def test_a_guarded_resource_too(self, mounted):
        params = {"uri": "vault://billing/gold"}
        assert mounted.agent().modern("resources/read", params).status_code == 403
        assert mounted.agent(scope="vault:read").modern("resources/read", params).status_code == 200


class TestTheSecondNameOfATool:
    """A tool of a FastMCP app answers to `__<hash>_<name>`, too, which no pattern knows."""

    @pytest.fixture(scope="class")
    @classmethod
    def with_app(cls, serve):
        app = FastMCPApp("panel")

        @app.tool()
        def danger_button() -> str:
            ran.append(("danger_button", agent_of().id))
            return "pressed"

        server = FastMCP("Invoices")
        server.add_provider(app)
        return serve("fastmcp", server=server)

    @pytest.mark.parametrize(
        "name", ["danger_button", hashed_backend_name("panel", "danger_button")]
    )
    def test_it_is_judged_as_the_tool_it_is(self, with_app, name):
        params = {"name": name, "arguments": {}}
        assert with_app.agent().modern("tools/call", params).status_code == 403
        assert ran == []
        allowed = with_app.agent(scope="danger").modern("tools/call", params)
        assert allowed.status_code == 200
        assert len(ran) <= 1


class TestCaches:
    def test_a_cached_answer_is_nobody_elses(self, serve):
        server = fill(FastMCP("Invoices", middleware=[ResponseCachingMiddleware()]))
        world = serve("fastmcp", server=server)
        params = {"name": "delete_invoice", "arguments": {"number": "1"}}
        assert world.agent(scope="invoices:write").modern("tools/call", params).status_code == 200
        assert world.agent().modern("tools/call", params).status_code == 403

    def test_nor_through_a_tool_that_calls_it(self, serve):
        server = FastMCP(
            "Invoices",
            middleware=[ResponseCachingMiddleware()],
            transforms=[BM25SearchTransform()],
        )
        world = serve("fastmcp", server=fill(server))
        params = {
            "name": "call_tool",
            "arguments": {"name": "delete_invoice", "arguments": {"number": "1"}},
        }
        allowed = world.agent(scope="invoices:write").modern("tools/call", params)
        assert "deleted 1" in allowed.text
        refused = world.agent("agent_8").modern("tools/call", params)
        assert "deleted 1" not in refused.text


class TestHiding:
    @pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
    @pytest.mark.parametrize("revision", ["modern", "handshake"])
    def test_lists_leave_out_what_the_agent_may_not_call(self, serve, kind, revision):
        world = serve(kind, hide=True)

        def names(agent, what, member="name"):
            if revision == "modern":
                answer = agent.modern(f"{what}/list")
                assert result_of(answer)["result"]["cacheScope"] == "private"
            else:
                answer = agent.call(f"{what}/list", {}, agent.open_session())
            return {item[member] for item in result_of(answer)["result"][what]}

        open_to_all = {"whoami", "scopes", "by_context"}
        assert names(world.agent(), "tools") == open_to_all
        more = names(world.agent(scope="invoices:write"), "tools")
        assert more == open_to_all | {"delete_invoice", "send_invoice"}
        assert names(world.agent(), "prompts") == {"greet"}
        assert names(world.agent(), "resources", "uri") == {"invoice://open"}

    @pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
    def test_without_it_lists_are_whole(self, worlds, kind):
        answer = worlds(kind).agent().modern("tools/list")
        assert "danger_zone" in answer.text


class TestOtherWaysIn:
    """A guarded server lets nobody in who does not come through `protect`."""

    @pytest.mark.parametrize(("kind", "client"), [("mcp", Client), ("fastmcp", FastClient)])
    def test_in_memory_it_answers_nobody(self, issuer, kind, client):
        server = make_server(kind)
        protect(server, settings=settings_of(issuer, "http://127.0.0.1:9"))

        async def call():
            async with client(server) as connected:
                await connected.call_tool("whoami", {})

        with pytest.raises(Exception):  # noqa: B017, PT011  # each client has its own
            anyio.run(call)
        assert ran == []

    def test_a_guarded_function_refuses_without_a_request(self):
        @requires_agent
        def tool():
            ran.append(("tool", ""))

        @requires_agent(scopes="a")
        async def later():
            ran.append(("later", ""))

        with pytest.raises(ToolError, match="needs an agent"):
            tool()
        with pytest.raises(ToolError, match="needs an agent"):
            anyio.run(later)
        with pytest.raises(SettingsError, match="protect"):
            agent_of()
        assert ran == []


class TestBareApplications:
    """The ASGI application of a server: patterns, the check at the tool, and sessions hold."""

    @pytest.fixture(scope="class", params=["mcp", "fastmcp"])
    @classmethod
    def bare(cls, request, serve):
        def build(kind, provider, base_url):
            server = make_server(kind)
            app = server.streamable_http_app() if kind == "mcp" else server.http_app()
            rules = {"danger_*": Requirement(scopes=["danger"])}
            return protect(app, tools=rules, settings=settings_of(provider, base_url))

        return serve(request.param, app=build)

    def test_patterns_are_403_and_the_tools_own_check_is_a_tool_error(self, bare):
        params = {"name": "danger_zone", "arguments": {}}
        assert bare.agent().modern("tools/call", params).status_code == 403
        for name in ("delete_invoice", "send_invoice"):
            params = {"name": name, "arguments": {"number": "1"}}
            assert is_refused(bare.agent().modern("tools/call", params), "invoices:write")
            session = bare.agent().open_session()
            answer = bare.agent().call("tools/call", params, session)
            assert is_refused(answer, "invoices:write")
        assert ran == []

    def test_the_check_sees_the_token_of_this_call(self, bare):
        agent = bare.agent(scope="invoices:write")
        session = agent.open_session()
        params = {"name": "delete_invoice", "arguments": {"number": "1"}}
        assert text_of(agent.call("tools/call", params, session)) == "deleted 1"
        agent.renew(scope="openid")
        assert is_refused(agent.call("tools/call", params, session), "insufficient_scope")

    def test_a_session_answers_no_other_agent(self, bare):
        session = bare.agent().open_session()
        params = {"name": "whoami", "arguments": {}}
        assert bare.agent("agent_8").call("tools/call", params, session).status_code == 404

    def test_what_needs_the_server_itself_is_refused(self, issuer):
        app = MCPServer("x").streamable_http_app()
        for wrong in ({"hide": True}, {"stateless_http": True}):
            with pytest.raises(TypeError, match="the server itself"):
                protect(app, settings=settings_of(issuer, "http://127.0.0.1:9"), **wrong)
        with pytest.raises(TypeError, match="not an MCP server"):
            protect(object(), settings=settings_of(issuer, "http://127.0.0.1:9"))


class TestTheOlderTransport:
    """HTTP with server-sent events: a session's stream and its messages are two requests."""

    @pytest.fixture(scope="class", params=["mcp", "fastmcp"])
    @classmethod
    def older(cls, request, serve):
        def build(kind, provider, base_url):
            server = make_server(kind)
            app = server.sse_app() if kind == "mcp" else server.http_app(transport="sse")
            rules = {"danger_*": Requirement(scopes=["danger"])}
            return protect(app, tools=rules, settings=settings_of(provider, base_url))

        return serve(request.param, app=build)

    def test_another_agent_cannot_write_into_it(self, older):
        owner, thief = older.agent(), older.agent("agent_8")
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        forbidden = {**ping, "method": "tools/call", "params": {"name": "danger_zone"}}
        with owner.stream("GET", "/sse", headers={"accept": "text/event-stream"}) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()
            target = next(line for line in lines if line.startswith("data: "))[6:]
            assert thief.post(target, json=ping).status_code == 404
            assert owner.post(target, json=forbidden).status_code == 403
            assert owner.post(target, json=ping).status_code == 202
        assert ran == []


class TestApplicationsThatForget:
    """An application that binds nothing itself: the guard's own memory of sessions."""

    @pytest.fixture(scope="class")
    @classmethod
    def forgetful(cls, serve):
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while (await receive())["type"] != "lifespan.shutdown":
                    await send({"type": "lifespan.startup.complete"})
                await send({"type": "lifespan.shutdown.complete"})
                return
            headers = [(b"mcp-session-id", b"the-session"), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})

        def build(kind, provider, base_url):
            return protect(app, settings=settings_of(provider, base_url))

        return serve("bare", app=build)

    def test_its_session_is_the_first_agents(self, forgetful):
        first, second = forgetful.agent(), forgetful.agent("agent_8")
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert first.send_body(ping).status_code == 200
        headers = {"mcp-session-id": "the-session"}
        assert first.send_body(ping, **headers).status_code == 200
        assert second.send_body(ping).status_code == 200
        assert second.send_body(ping, **headers).status_code == 404
        assert second.get("/mcp", headers=headers).status_code == 404
        assert first.delete("/mcp", headers=headers).status_code == 200
        assert first.send_body(ping, **headers).status_code == 404
