"""The chapter of the tools: an MCP server that lets agents in, with the official client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth_agent.cli.demo.narrator import Narrator
from auth_agent.cli.demo.stage import Stage
from auth_agent.extras import install_hint
from auth_agent.sdk import AgentSDK

if TYPE_CHECKING:
    import httpx2

FOR_THIS = "a token for this MCP server only, with the scopes that the agent is allowed"
ASKS = ("POST", "/token", 200)


def call_tools(stage: Stage, sdk: AgentSDK, narrator: Narrator) -> None:
    """Narrates three calls: one that every agent may make, one after a step-up, one refused."""
    narrator.chapter("The agent calls the tools of an MCP server")
    if stage.tools is None:
        narrator.say(f"Skipped: it needs the package mcp. {install_hint('mcp')}")
        return
    import anyio  # noqa: PLC0415

    stage.tools.start()
    narrator.value("MCP server", f"{stage.tools.url}   (app = protect(server))")
    narrator.say("The client is the official one of mcp, with auth=sdk.mcp_auth().")
    stage.watch.take()
    try:
        anyio.run(_Calls(stage, narrator, stage.tools.url).make, sdk.mcp_auth())
    except Exception as error:  # noqa: BLE001  # raised again, and not as a group's
        raise _cause(error) from None


def _cause(error: BaseException) -> BaseException:
    """Returns what went wrong in a group of tasks."""
    inside = getattr(error, "exceptions", ())
    return _cause(inside[0]) if inside else error


class _Calls:
    """The calls of one client, and what was sent for each."""

    def __init__(self, stage: Stage, narrator: Narrator, url: str) -> None:
        self._stage = stage
        self._narrator = narrator
        self._url = url
        self._statuses: list[int] = []

    async def make(self, auth: httpx2.Auth) -> None:
        import httpx2  # noqa: PLC0415
        from mcp.client.client import Client  # noqa: PLC0415
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

        hooks: Any = {"response": [self._see]}
        async with (
            httpx2.AsyncClient(auth=auth, event_hooks=hooks, trust_env=False) as http,
            Client(streamable_http_client(self._url, http_client=http)) as client,
        ):
            await self._call_all(client)

    async def _call_all(self, client: Any) -> None:
        from mcp.shared.exceptions import MCPError  # noqa: PLC0415

        check, agent = self._narrator.check, self._stage.agent.agent_id
        self._flush()
        found = await client.call_tool("find_goods", {"word": "honey"})
        called = self._statuses[-1:] == [200] and "Wild honey" in str(found.structured_content)
        check("called: the token has the scope that the MCP server's metadata names", holds=called)
        self._statuses.clear()
        placed = await client.call_tool("place_order", {"item": "Wild honey"})
        stepped_up = self._statuses == [403, 200] and agent in str(placed.structured_content)
        check("the client asked for the missing scope, and the tool ran", holds=stepped_up)
        self._statuses.clear()
        said = ""
        try:
            await client.call_tool("change_price", {"item": "Wild honey", "price": "0.10"})
        except MCPError as error:
            said = str(error)
        refused = set(self._statuses) == {403} and "prices:write" in said
        check(
            "refused: the agent is not allowed prices:write, so no token contains it",
            holds=refused,
        )

    async def _see(self, response: httpx2.Response) -> None:
        """Narrates what the client sends: calls of tools, and the tokens that it gets for them."""
        self._flush()
        name, status = response.request.headers.get("mcp-name"), response.status_code
        if name is not None:
            self._statuses.append(status)
            challenge = response.headers.get("www-authenticate", "")
            scope = challenge.partition('scope="')[2].partition('"')[0]
            lacks = f": insufficient_scope, it needs {scope}" if status == 403 else ""
            self._narrator.exchange("POST", self._url, status, f"tools/call {name}{lacks}")
        elif status == 401:
            meaning = "no token yet; the answer names the server that issues tokens"
            self._narrator.exchange("POST", self._url, status, meaning)

    def _flush(self) -> None:
        for exchange in self._stage.watch.take():
            if exchange == ASKS:
                self._narrator.exchange(
                    "POST", f"{self._stage.server}/token", exchange.status, FOR_THIS
                )
