"""What a signed-in request costs beside the bare Starlette route, without a network between."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from auth_agent import RelyingParty, Settings
from auth_agent.session import open_session, session_cookie
from auth_agent.token import Tokens
from auth_agent_starlette import AuthAgentMiddleware, requires_agent

ROUNDS = 15
REQUESTS = 2_000

SETTINGS = Settings(
    issuer="https://auth.example",
    client_id="client_shop",
    client_secret="cs_secret",
    secret="a secret of the website that is long enough",
    base_url="https://shop.example",
)
CLAIMS = {
    "sub": "agent_7f3k2m9x",
    "model": "claude-opus-4",
    "email": "owner@example.com",
    "email_verified": True,
    "name": "Shopping agent",
    "auth_time": int(time.time()),
}


async def bare(request: Any) -> JSONResponse:
    return JSONResponse({"ok": True})


@requires_agent
async def guarded(request: Any) -> JSONResponse:
    return JSONResponse({"ok": request.state.agent.id is not None})


def main() -> None:
    relying_party = RelyingParty(SETTINGS)
    cookie = signed_in_cookie(relying_party)
    plain = Starlette(routes=[Route("/", bare)])
    middleware = Middleware(AuthAgentMiddleware, relying_party=relying_party)
    site = Starlette(routes=[Route("/", guarded)], middleware=[middleware])
    headers = [(b"host", b"shop.example"), (b"accept", b"application/json"), (b"cookie", cookie)]
    print("A signed-in request, in process (lower is better)")
    costs = asyncio.run(measure({"bare Starlette route": plain, "with a session": site}, headers))
    base = costs["bare Starlette route"]
    for name, cost in costs.items():
        print(f"  {name:24} {cost:7.1f} us   {cost / base:5.2f} x   +{cost - base:5.1f} us")


def signed_in_cookie(relying_party: RelyingParty) -> bytes:
    site = relying_party._site
    tokens = Tokens(access_token="a", id_token="i", refresh_token="rt_" + "x" * 43, scopes=None)
    cookie = session_cookie(open_session(CLAIMS, tokens, site), site)
    return f"{cookie.name}={cookie.value}".encode()


async def measure(apps: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> dict[str, float]:
    """The median over rounds, in microseconds for each request; the rounds are interleaved."""
    samples: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            gc.collect()
            started = time.perf_counter()
            for _ in range(REQUESTS):
                assert await request(app, headers) == 200
            samples[name].append((time.perf_counter() - started) / REQUESTS * 1e6)
    return {name: statistics.median(values) for name, values in samples.items()}


async def request(app: Any, headers: list[tuple[bytes, bytes]]) -> int:
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "https", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("shop.example", 443),
    }  # fmt: skip
    await app(scope, receive, send)
    return status


if __name__ == "__main__":
    main()
