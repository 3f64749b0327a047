"""Tools whose act the agent's owner has to approve, on both packages."""

from __future__ import annotations

import json

import pytest
from fastmcp import FastMCP
from mcp.server.mcpserver import Context, MCPServer

from auth_agent.errors import SettingsError
from auth_agent.testing import approved
from auth_agent_mcpserver import agent_of, approval_of, requires_approval
from tests.mcpserver.sites import result_of

done: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_done():
    done.clear()


def act(number, amount="45.00"):
    return {"type": "payment", "title": f"Pay order {number}", "amount": amount, "order": number}


def fill(server):
    @server.tool()
    @requires_approval(act)
    def pay(number: str, amount: str = "45.00") -> str:
        done.append(approval_of()["approval_id"])
        return f"paid {approval_of()['order']} for {agent_of().id}"

    @server.tool()
    @requires_approval(act, scopes=["openid"])
    async def pay_later(number: str) -> str:
        done.append(approval_of()["approval_id"])
        return f"will pay {number}"

    return server


def make(kind):
    if kind == "fastmcp":
        return fill(FastMCP("Payments"))
    server = fill(MCPServer("Payments", log_level="WARNING"))

    @server.tool()
    @requires_approval(act)
    def pay_in_context(number: str, ctx: Context) -> str:
        done.append(approval_of()["approval_id"])
        return agent_of(ctx).id

    return server


@pytest.fixture(scope="module", params=["mcp", "fastmcp"])
def world(request, serve):
    return serve(request.param, server=make(request.param)), request.param


def call(agent, name, **arguments):
    answer = agent.modern("tools/call", {"name": name, "arguments": arguments})
    assert answer.status_code == 200, answer.text
    result = result_of(answer)["result"]
    return result.get("isError", False), result["content"][0]["text"]


@pytest.mark.parametrize("tool", ["pay", "pay_later"])
def test_a_tool_runs_once_as_approved(world, tool):
    served, _ = world
    agent = served.agent(**approved(act("7")))
    is_error, text = call(agent, tool, number="8")
    assert is_error
    assert "insufficient_authorization" in text
    is_error, text = call(agent, tool, number="7")
    assert (is_error, len(done)) == (False, 1), text
    assert "7" in text
    assert call(agent, tool, number="7")[0]
    assert len(done) == 1


def test_the_refusal_says_what_to_ask_for(world):
    served, _ = world
    _, text = call(served.agent(), "pay", number="7", amount="1.00")
    asked = json.loads(text[text.index("{") :])
    assert asked["authorization_details"] == [act("7", "1.00")]
    assert asked["resource"].endswith("/mcp")
    assert done == []


def test_a_context_is_no_argument_of_the_act(world):
    served, kind = world
    if kind == "mcp":
        agent = served.agent(**approved(act("7")))
        assert call(agent, "pay_in_context", number="7") == (False, "agent_7")


def test_an_act_is_checked_where_it_is_written():
    with pytest.raises(TypeError):
        requires_approval({"type": "payment"})
    with pytest.raises(SettingsError):
        approval_of()
