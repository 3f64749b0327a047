"""Decorated tools of an MCP server, as a website's own type checker sees them."""

from collections.abc import Callable, Coroutine
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from typing_extensions import assert_type

from auth_agent_mcpserver import agent_of, protect, requires_agent, requires_approval

server = MCPServer("shop")


@server.tool()
@requires_agent
async def bare() -> str:
    return agent_of().id


@server.tool()
@requires_agent(scopes=["reports:read"])
def called(number: int, ctx: Context) -> str:
    return f"{number} for {agent_of(ctx).id}"


@server.tool()
@requires_approval(lambda number: {"type": "payment", "title": f"Pay {number}"})
async def pay(number: int) -> str:
    return str(number)


app = protect(server)
awaited: Callable[[], Coroutine[Any, Any, str]] = bare
paid: Callable[[int], Coroutine[Any, Any, str]] = pay
assert_type(called(1, Context()), str)
called("1", Context())  # type: ignore[arg-type]
bare(1)  # type: ignore[call-arg, unused-coroutine]
requires_agent(scope=["reports:read"])  # type: ignore[call-overload]
requires_approval({}, scope=["reports:read"])  # type: ignore[call-arg]
