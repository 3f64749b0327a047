"""What guarding a tool call costs beside FastMCP's own bearer middleware, in process.

Every row leads to the same application, which reads the body and answers, so that what is left is
the guard. FastMCP verifies a signature at each call; a token that we have seen costs none.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastmcp.server.auth.middleware import RequireAuthMiddleware
from fastmcp.server.auth.providers.jwt import JWTVerifier
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from starlette.middleware.authentication import AuthenticationMiddleware

from auth_agent import RelyingParty, Settings
from auth_agent.asgi import AuthAgentMiddleware
from auth_agent.flow.drive import run
from auth_agent.testing import FakeServer
from auth_agent_mcpserver import Requirement, protect
from benchmarks.measure import compare_async, report
from benchmarks.site import learn_keys

CALLS = 5_000
AUDIENCE = "https://shop.example/mcp"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "delete_invoice", "arguments": {"number": "A-1001", "reason": "x" * 200}},
}
BODY = json.dumps(CALL, separators=(",", ":")).encode()  # as the clients of both SDKs write it


async def application(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    server = FakeServer()
    settings = Settings(
        issuer=server.issuer, base_url="https://shop.example", audience=AUDIENCE, sign_in=False
    )
    relying_party = RelyingParty(settings)
    learn_keys(relying_party, server)
    token = server.access_token(aud=AUDIENCE, scope="invoices:write")
    run(relying_party._recogniser.bearers.resolve(token))
    rules = {"delete_*": Requirement(scopes=["invoices:write"])}
    apps = {
        "the application alone": application,
        "AuthAgentMiddleware": AuthAgentMiddleware(application, relying_party=relying_party),
        "protect(), a scope for the tool": protect(
            application, tools=rules, relying_party=relying_party
        ),
        "FastMCP's bearer middleware": _fastmcp(server),
    }
    cases = {name: lambda app=app: call(app, token) for name, app in apps.items()}
    costs = asyncio.run(compare_async(cases, CALLS))
    report("A tool call, in process", costs)


def _fastmcp(server: FakeServer) -> Any:
    """As `http_app` puts it together, with the key at hand."""
    key = server.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    verifier = JWTVerifier(
        public_key=key.decode(), issuer=server.issuer, audience=AUDIENCE, algorithm="ES256"
    )
    required = RequireAuthMiddleware(application, ["invoices:write"])
    inner = AuthContextMiddleware(required)
    return AuthenticationMiddleware(inner, backend=BearerAuthBackend(verifier))


async def call(app: Any, token: str) -> None:
    statuses: list[int] = []
    pending = [{"type": "http.request", "body": BODY, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return pending.pop()

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "https", "path": "/mcp", "raw_path": b"/mcp", "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("shop.example", 443),
        "headers": [
            (b"host", b"shop.example"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            (b"mcp-protocol-version", b"2026-07-28"),
            (b"mcp-method", b"tools/call"),
            (b"mcp-name", b"delete_invoice"),
        ],
    }  # fmt: skip
    await app(scope, receive, send)
    assert statuses == [200], statuses
