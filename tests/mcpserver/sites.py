"""One small MCP server, made with each package, and an agent's raw client in front of it."""

from __future__ import annotations

import json

import httpx2
from mcp.server.mcpserver import Context, MCPServer

from auth_agent import Settings
from auth_agent_mcpserver import Requirement, agent_of, protect, requires_agent

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
ACCEPT = {"accept": "application/json, text/event-stream"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}

# What has run, by whom; a refused call must leave no trace here.
ran: list[tuple[str, str]] = []


def fill(server):
    """Adds the server's tools, resources and prompts; both packages take the same functions."""

    @server.tool()
    async def whoami() -> str:
        ran.append(("whoami", agent_of().id))
        return agent_of().id

    @server.tool()
    def scopes() -> str:
        return " ".join(agent_of().scopes)

    @server.tool()
    @requires_agent(scopes=["invoices:write"])
    def delete_invoice(number: str) -> str:
        ran.append(("delete_invoice", agent_of().id))
        return f"deleted {number}"

    @server.tool()
    @requires_agent(scopes=["invoices:write"])
    async def send_invoice(number: str) -> str:
        ran.append(("send_invoice", agent_of().id))
        return f"sent {number}"

    @server.tool()
    def danger_zone() -> str:
        ran.append(("danger_zone", agent_of().id))
        return "gone"

    @server.resource("invoice://open")
    def open_invoices() -> str:
        return "three"

    @server.resource("secret://ledger")
    def ledger() -> str:
        ran.append(("ledger", agent_of().id))
        return "the ledger"

    @server.resource("secret://{name}/page")
    def pages(name: str) -> str:
        ran.append(("pages", agent_of().id))
        return f"the page of {name}"

    @server.resource("vault://gold")
    @requires_agent(scopes=["vault:read"])
    def gold() -> str:
        ran.append(("gold", agent_of().id))
        return "gold"

    @server.prompt()
    def greet() -> str:
        return "Say hello."

    @server.prompt()
    def secret_greeting() -> str:
        ran.append(("secret_greeting", agent_of().id))
        return "Say the password."

    return server


def with_context(server, kind):
    if kind == "mcp":

        @server.tool()
        def by_context(ctx: Context) -> str:
            return agent_of(ctx).id
    else:
        from fastmcp import Context as FastContext

        def by_context(ctx: FastContext) -> str:
            return agent_of(ctx).id

        by_context.__annotations__["ctx"] = FastContext
        server.tool()(by_context)
    return server


def make_server(kind):
    if kind == "mcp":
        return with_context(fill(MCPServer("Invoices", log_level="WARNING")), kind)
    from fastmcp import FastMCP  # `make lowest` has none

    return with_context(fill(FastMCP("Invoices")), kind)


RULES = {
    "tools": {"danger_*": Requirement(scopes=["danger"])},
    "resources": {"secret://*": Requirement(scopes=["ledger:read"])},
    "prompts": {"secret_*": Requirement(scopes=["prompts:secret"])},
}


def settings_of(provider, base_url, **changes):
    values = {
        "issuer": provider.issuer,
        "base_url": base_url,
        "audience": f"{base_url}/mcp",
        "sign_in": False,
    }
    return Settings(**{**values, **changes})


def make_app(kind, provider, base_url, **options):
    settings = settings_of(provider, base_url, **options.pop("settings", {}))
    server = options.pop("server", None) or make_server(kind)
    return protect(server, settings=settings, **{**RULES, **options})


class Agent(httpx2.Client):
    """Sends raw requests with a token of its own."""

    def __init__(self, base_url, provider, agent_id="agent_7", scope="openid", **claims):
        super().__init__(base_url=base_url, timeout=10)
        self.provider = provider
        self.renew(agent_id, scope, **claims)

    def renew(self, agent_id="agent_7", scope="openid", **claims):
        audience = f"{self.base_url.scheme}://{self.base_url.netloc.decode()}/mcp"
        token = self.provider.access_token(
            aud=audience, sub=agent_id, client_id=agent_id, scope=scope, **claims
        )
        self.headers["authorization"] = f"Bearer {token}"

    def send_body(self, body, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", **ACCEPT, **named(headers)}
        return self.post("/mcp", content=raw, headers=given)

    def modern(self, method, params=None, headers=None, **more):
        """Sends a request of the revision without sessions."""
        params = {**(params or {}), "_meta": META}
        names = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
        routing = {"mcp-protocol-version": MODERN, "mcp-method": method}
        if method in names and names[method] in params:
            routing["mcp-name"] = params[names[method]]
        given = {"content-type": "application/json", **ACCEPT, **routing, **(headers or {})}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more}
        return self.post("/mcp", json=body, headers=given)

    def open_session(self):
        """Performs the handshake of revisions with sessions; returns the headers to send next."""
        params = {
            "protocolVersion": HANDSHAKE,
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        }
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = self.send_body(body)
        assert answer.status_code == 200, answer.text
        session = answer.headers.get("mcp-session-id")
        headers = {"mcp-protocol-version": HANDSHAKE}
        if session is not None:
            headers["mcp-session-id"] = session
        told = self.send_body({"jsonrpc": "2.0", "method": "notifications/initialized"}, **headers)
        assert told.status_code == 202, told.text
        return headers

    def call(self, method, params, headers):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.send_body(body, **headers)


def named(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def result_of(answer):
    """Returns the JSON-RPC message of an answer: JSON, or the first event of a stream."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
        return json.loads(lines[-1].removeprefix("data: "))
    return answer.json()


def text_of(answer):
    (content,) = result_of(answer)["result"]["content"]
    return content["text"]
