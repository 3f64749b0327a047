"""The demo's MCP server: tools of the shop, each of which says which scope it needs."""

from __future__ import annotations

import mcp.client.client
import mcp.client.streamable_http  # noqa: F401  (the story's client, imported while there is time)
from mcp.server.mcpserver import Context, MCPServer

from auth_agent.asgi import App
from auth_agent.website.config.settings import Settings
from auth_agent_mcpserver import agent_of, protect, requires_agent


def create_app(issuer: str, base_url: str, at_first: str) -> App:
    """Returns the guarded server; its metadata names the scope `at_first`."""
    settings = Settings(issuer=issuer, base_url=base_url, sign_in=False, api_scopes=(at_first,))
    return protect(_server(), settings=settings)


def _server() -> MCPServer:
    server = MCPServer("Corner Shop", log_level="WARNING")

    @server.tool()
    @requires_agent(scopes=["goods:read"])
    def find_goods(word: str) -> list[str]:
        """The goods whose name holds a word; the agent needs the scope goods:read."""
        goods = ("Oat bread", "Mountain tea", "Wild honey")
        return [name for name in goods if word.lower() in name.lower()]

    @server.tool()
    @requires_agent(scopes=["orders:write"])
    def place_order(item: str, ctx: Context) -> str:
        """Orders one item; the agent needs the scope orders:write."""
        return f"{item} is ordered for {agent_of(ctx).id}"

    @server.tool()
    @requires_agent(scopes=["prices:write"])
    def change_price(item: str, price: str) -> str:
        """Changes a price; the agent needs the scope prices:write."""
        return f"{item} costs {price} from now on"

    return server
