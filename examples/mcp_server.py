"""An MCP server of a shop that lets agents in; one of its tools needs a scope.

Run it with `uvicorn examples.mcp_server:app --port 8001`; it needs two variables,
AUTH_AGENT_ISSUER=http://127.0.0.1:8420 and AUTH_AGENT_BASE_URL=http://127.0.0.1:8001.
"""

from __future__ import annotations

from mcp.server.mcpserver import Context, MCPServer

from auth_agent_mcpserver import agent_of, protect, requires_agent

server = MCPServer("Example shop")


@server.tool()
def search_products(word: str) -> list[str]:
    """The shop's products whose name holds a word."""
    return [name for name in ("red shoes", "blue shoes", "a hat") if word in name]


@server.tool()
def my_orders(ctx: Context) -> dict[str, str]:
    """The orders of the agent that asks."""
    return {"agent": agent_of(ctx).id, "A-1001": "red shoes, on their way"}


@server.tool()
@requires_agent(scopes=["refunds:write"])
def refund(number: str, ctx: Context) -> str:
    """Refunds an order; the agent needs the scope refunds:write."""
    return f"{number} is refunded for {agent_of(ctx).id}"


app = protect(server)
