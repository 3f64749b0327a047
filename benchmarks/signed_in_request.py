"""The cost of a signed-in request beside the bare Starlette route, in process.

The first three rows lead to the same endpoint, which does not look at the agent; what the others
read and require comes on top, and a part of it is Starlette's own `request.state`.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from auth_agent import RelyingParty
from auth_agent.flow.drive import run
from auth_agent_starlette import AuthAgentMiddleware, requires_agent
from benchmarks.measure import compare_async, report
from benchmarks.site import Site

REQUESTS = 5_000


async def bare(request: Any) -> JSONResponse:
    return JSONResponse({"ok": True})


@requires_agent
async def guarded(request: Any) -> JSONResponse:
    return JSONResponse({"ok": request.state.agent.id is not None})


def main() -> None:
    site = Site()
    plain = Starlette(routes=[Route("/", bare)])
    public, app = site_of(bare, site.relying_party), site_of(guarded, site.relying_party)
    cookie, token = site.cookie(), site.server.access_token(aud="https://shop.example")
    new_cookies = itertools.cycle([site.cookie() for _ in range(REQUESTS)])
    run(site.relying_party._recogniser.bearers.resolve(token))
    cases = {
        "bare Starlette route": lambda: request(plain, headers(cookie=cookie)),
        "anonymous visitor": lambda: request(public, headers()),
        "session seen before": lambda: request(public, headers(cookie=cookie)),
        "the same, guarded and read": lambda: request(app, headers(cookie=cookie)),
        "the same, never seen": lambda: request(app, headers(cookie=next(new_cookies))),
        "bearer token seen before, the same": lambda: request(app, headers(token=token)),
    }
    costs = asyncio.run(compare_async(cases, REQUESTS))
    report("A signed-in request, in process", costs)


def site_of(endpoint: Any, relying_party: RelyingParty) -> Starlette:
    middleware = Middleware(AuthAgentMiddleware, relying_party=relying_party)
    return Starlette(routes=[Route("/", endpoint)], middleware=[middleware])


def headers(*, cookie: str | None = None, token: str | None = None) -> list[tuple[bytes, bytes]]:
    found = [(b"host", b"shop.example"), (b"accept", b"application/json")]
    if cookie is not None:
        found.append((b"cookie", cookie.encode()))
    if token is not None:
        found.append((b"authorization", f"Bearer {token}".encode()))
    return found


async def request(app: Any, sent: list[tuple[bytes, bytes]]) -> None:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "https", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": sent, "client": ("127.0.0.1", 1), "server": ("shop.example", 443),
    }  # fmt: skip
    await app(scope, receive, send)
    assert statuses == [200]
