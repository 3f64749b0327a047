"""`sdk.mcp_auth()`: the official MCP client with an agent's own tokens, and APIs that want more."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from auth_agent import AuthError, Settings
from auth_agent.asgi import AuthAgentMiddleware
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.sign_in.protected_resource import covers, read_challenge
from auth_agent.server.registry.agents import add_agent
from auth_agent_starlette import AuthAgentMiddleware as StarletteMiddleware
from auth_agent_starlette import requires_agent
from tests.adapters.network import free_port
from tests.sdk.conftest import run_async, serving

METADATA = "/.well-known/oauth-protected-resource/mcp"


class Api:
    """An API that wants tokens: its metadata, the scopes it needs, and what it was sent."""

    def __init__(self, issuer: str) -> None:
        self.base = f"http://127.0.0.1:{free_port()}"
        self.url = f"{self.base}/mcp"
        self.issuer = issuer
        self.metadata: dict[str, Any] = {
            "resource": self.url,
            "authorization_servers": [issuer],
            "scopes_supported": ["agent"],
        }
        self.documents = {METADATA}
        self.named: str | None = f"{self.base}{METADATA}"
        self.needs: list[str] = ["agent"]
        self.also: dict[str, tuple[int, str]] = {}
        self.sent: list[dict[str, Any] | None] = []
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path, headers = scope["path"], dict(scope["headers"])
        self.asked.append(path)
        if path in self.documents:
            await _answer(send, 200, self.metadata)
        elif path in self.also:
            status, location = self.also[path]
            await _answer(send, status, {}, {"location": location})
        elif path.startswith("/.well-known/"):
            await _answer(send, 404, {})
        else:
            await self._call(headers, send)

    async def _call(self, headers: dict[bytes, bytes], send: Any) -> None:
        token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False}) if token else None
        self.sent.append(claims)
        named = f', resource_metadata="{self.named}"' if self.named else ""
        if claims is None:
            first = f'Bearer scope="{self.needs[0]}"{named}' if self.needs else f"Bearer x=y{named}"
            await _answer(send, 401, {}, {"www-authenticate": first})
            return
        held = set(claims["scope"].split())
        missing = [one for one in self.needs if one not in held]
        if missing:
            text = f'Bearer error="insufficient_scope", scope="{missing[0]}"{named}'
            await _answer(send, 403, {}, {"www-authenticate": text})
            return
        await _answer(send, 200, {"aud": claims["aud"], "scope": claims["scope"]})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _answer(send: Any, status: int, body: Any, more: Any = None) -> None:
    content = json.dumps(body).encode()
    pairs = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        **(more or {}),
    }
    headers = [(name.encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def _api(_world: Any) -> Any:
    api = Api(_world.issuer)
    with serving(api, api.base):
        yield api


@pytest.fixture
def api(_api: Api) -> Api:
    base, port = _api.base, _api.url
    fresh = Api(_api.issuer)
    fresh.base, fresh.url = base, port
    fresh.metadata["resource"], fresh.named = port, f"{base}{METADATA}"
    _api.__dict__.update(fresh.__dict__)
    return _api


class Caller:
    """Calls an API with one `mcp_auth`, in one of the ways in which a client may."""

    def __init__(self, kind: str, options: dict[str, Any], **wanted: Any) -> None:
        self.kind = kind
        self.sdk = (AsyncAgentSDK if kind == "async" else AgentSDK)(**options)
        self.auth = self.sdk.mcp_auth(**wanted)

    def post(self, *urls: str, follow: bool = False) -> list[httpx2.Response]:
        if self.kind == "threads":
            with httpx2.Client(auth=self.auth, follow_redirects=follow) as client:
                return [client.post(url, json={}) for url in urls]

        async def main() -> list[httpx2.Response]:
            async with httpx2.AsyncClient(auth=self.auth, follow_redirects=follow) as client:
                return [await client.post(url, json={}) for url in urls]

        return run_async(main)


@pytest.fixture(params=["threads", "thread from a task", "async"])
def caller(request: pytest.FixtureRequest, world: Any) -> Any:
    def make(**wanted: Any) -> Caller:
        changes = wanted.pop("options", {})
        return Caller(request.param, world.options(**changes), **wanted)

    return make


def _tokens(world: Any) -> int:
    return world.server.asked.count(("POST", "/token"))


def _refused(caller: Caller, url: str) -> str:
    with pytest.raises(AuthError) as caught:
        caller.post(url)
    return caught.value.code


def test_an_agent_gets_in_with_a_token_for_this_api_alone(caller: Any, api: Api, world: Any):
    first, second = caller().post(api.url, api.url)
    assert first.json() == {"aud": api.url, "scope": "agent"}
    assert second.status_code == 200
    assert [claims is None for claims in api.sent] == [True, False, False]
    assert _tokens(world) == 1


def test_scopes_are_added_as_calls_need_them(caller: Any, api: Api, world: Any):
    api.needs = ["agent", "email"]
    both = caller()
    assert set(both.post(api.url)[0].json()["scope"].split()) == {"agent", "email"}
    assert (_tokens(world), len(api.sent)) == (2, 3)
    api.needs = ["agent", "invoices:write"]  # nobody may have this one
    answer = both.post(api.url)[0]
    assert (answer.status_code, len(api.sent)) == (403, 5)


def test_the_metadata_names_the_scopes_where_the_refusal_does_not(caller: Any, api: Api):
    api.needs, api.metadata["scopes_supported"] = [], ["email"]
    assert caller().post(api.url)[0].json()["scope"] == "email"
    del api.metadata["scopes_supported"]
    assert caller(scope="profile").post(api.url)[0].json()["scope"] == "profile"


def test_scopes_that_were_not_allowed_are_never_asked_for(caller: Any, api: Api, world: Any):
    assert _refused(caller(allowed_scopes=["email"]), api.url) == "scope_not_allowed"
    assert _tokens(world) == 0
    assert caller(allowed_scopes=["agent"]).post(api.url)[0].status_code == 200


@pytest.mark.parametrize("where", [METADATA, "/.well-known/oauth-protected-resource"])
def test_metadata_is_found_without_being_named(caller: Any, api: Api, where: str):
    api.named, api.documents = None, {where}
    assert caller().post(api.url)[0].status_code == 200


@pytest.mark.parametrize(
    "resource", ["https://victim.example/mcp", "{base}/mc", "{base}/other", "{base}/mcp?x", "x", 5]
)
def test_an_api_gets_no_token_for_another_one(
    caller: Any, api: Api, world: Any, resource: Any
) -> None:
    named = resource.format(base=api.base) if isinstance(resource, str) else resource
    api.metadata["resource"] = named
    assert _refused(caller(), api.url) == "website_mismatch"
    assert _tokens(world) == 0


def test_the_agent_proves_itself_to_its_own_server_alone(caller: Any, api: Api, world: Any):
    api.metadata["authorization_servers"] = ["https://evil.example", world.issuer + "/"]
    assert _refused(caller(), api.url) == "issuer_not_allowed"
    api.metadata["authorization_servers"] = ["https://evil.example", world.issuer]
    assert caller().post(api.url)[0].status_code == 200


def test_metadata_elsewhere_is_not_read(caller: Any, api: Api, world: Any):
    api.named, api.documents = f"{world.website}{METADATA}", set()
    assert _refused(caller(), api.url) == "not_protected"
    assert all(path != METADATA for _, path in world.shop.asked)


def test_a_redirect_takes_no_token_elsewhere(caller: Any, api: Api, world: Any):
    other = Api(world.issuer)
    with serving(other, other.base):
        api.also = {"/away": (307, other.url)}
        one = caller()
        assert one.post(api.url)[0].status_code == 200
        answer = one.post(f"{api.base}/away", follow=True)[0]
    assert (answer.status_code, other.sent) == (401, [None])


def test_a_token_that_has_ended_is_replaced(caller: Any, api: Api, world: Any):
    one = caller()
    assert one.post(api.url)[0].status_code == 200
    for server in one.auth._servers.values():
        server.calls.tokens.clear()
    assert one.post(api.url)[0].status_code == 200
    assert _tokens(world) == 2


def test_many_requests_at_once_ask_for_one_token(api: Api, world: Any):
    auth = AgentSDK(**world.options()).mcp_auth()
    with ThreadPoolExecutor(8) as pool, httpx2.Client(auth=auth) as client:
        found = list(pool.map(lambda _: client.post(api.url, json={}).status_code, range(8)))
    assert (found, _tokens(world)) == ([200] * 8, 1)
    world.server.forget()
    auth = AsyncAgentSDK(**world.options()).mcp_auth()

    async def main() -> None:
        async with httpx2.AsyncClient(auth=auth) as client, anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(lambda: client.post(api.url, json={}))

    run_async(main)
    assert _tokens(world) == 1


def test_other_refusals_are_the_callers(caller: Any, api: Api, world: Any):
    api.also = {"/mcp": (403, "/")}
    assert caller().post(api.url)[0].status_code == 403
    assert _tokens(world) == 0


def test_it_shows_no_secret(world: Any):
    auth = AgentSDK(**world.options()).mcp_auth()
    assert repr(auth) == f"SyncMcpAuth(agent_id={world.agent_id!r})"


@pytest.mark.parametrize(
    ("text", "error", "scope", "named"),
    [
        ("Bearer", "", set(), None),
        ('Bearer error="insufficient_scope", scope="a b"', "insufficient_scope", {"a", "b"}, None),
        ('Bearer scope=a, resource_metadata="https://m/x"', "", {"a"}, "https://m/x"),
        ('Bearer error="x", error="insufficient_scope"', "x", set(), None),
        ('Bearer error_description="scope=\\"z\\"", scope="a"', "", {"a"}, None),
        ('Bearer scope="a  b"', "", set(), None),
        ('Bearer scope="\x00"', "", set(), None),
        ("", "", set(), None),
    ],
)
def test_a_challenge_is_read_once(text: str, error: str, scope: set[str], named: str | None):
    found = read_challenge({"www-authenticate": text})
    assert found == (error, scope, named)


@pytest.mark.parametrize(
    ("resource", "url", "found"),
    [
        ("https://m.example", "https://m.example/mcp", True),
        ("https://m.example/mcp", "https://M.example:443/mcp/", True),
        ("https://m.example/mcp", "https://m.example/mcp/x", True),
        ("https://m.example/mcp", "https://m.example/mcpx", False),
        ("https://m.example/mcp", "https://m.example/", False),
        ("https://m.example/mcp", "https://m.example.evil.example/mcp", False),
        ("https://m.example/mcp", "http://m.example/mcp", False),
    ],
)
def test_what_a_resource_covers(resource: str, url: str, found: bool):
    assert covers(resource, url) is found


# The official client, and a real MCP server behind the middleware


@contextmanager
def _mcp_server(world: Any) -> Any:
    server, base = MCPServer("notes"), f"http://127.0.0.1:{free_port()}"

    @server.tool()
    def who(ctx: Context) -> str:
        return str(ctx.request_context.request.scope["auth_agent"].id)

    settings = Settings(**{**world.settings, "base_url": base}, protect=["/mcp"])
    with serving(AuthAgentMiddleware(server.streamable_http_app(), settings=settings), base):
        yield f"{base}/mcp"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_gets_in_with_a_key_alone(world: Any, agent_key: Any, mode: str):
    agent = add_agent(
        world.database, "key@owner.example", public_key=agent_key.public_pem, now=int(time.time())
    )
    options = {"agent_id": agent.agent_id, "private_key": agent_key.pem}
    sdk = AsyncAgentSDK(**options, server_url=world.issuer)

    async def main(url: str) -> Any:
        async with (
            httpx2.AsyncClient(auth=sdk.mcp_auth()) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            return (await client.call_tool("who", {})).content[0].text

    with _mcp_server(world) as url:
        assert run_async(main, url) == agent.agent_id


class TestSigned:
    """An agent with a signing key signs what it sends to an MCP server."""

    @pytest.fixture
    def site(self, world: Any) -> Any:
        base = f"http://127.0.0.1:{free_port()}"

        async def who(request: Any) -> Any:
            agent = request.state.agent
            return JSONResponse({"id": agent.id, "via": agent.via})

        async def moved(request: Any) -> Any:
            return RedirectResponse("/mcp", 307)

        async def scoped(request: Any) -> Any:
            return JSONResponse({"via": request.state.agent.via})

        routes = [
            Route("/mcp", requires_agent(who), methods=["POST"]),
            Route("/mcp/scoped", requires_agent(scopes=["agent"])(scoped), methods=["POST"]),
            Route("/mcp/moved", moved, methods=["POST"]),
        ]
        settings = Settings(
            **{**world.settings, "base_url": base},
            signatures=["issuer"],
            audience=f"{base}/mcp",
        )
        middleware = [Middleware(StarletteMiddleware, settings=settings)]
        with serving(Starlette(routes=routes, middleware=middleware), base):
            yield base

    def test_is_known_by_its_signature_and_gets_a_token_where_scopes_are_needed(
        self, caller: Any, world: Any, site: str, signing: Any
    ) -> None:
        one = caller(options=signing.options)
        known, moved = one.post(f"{site}/mcp", f"{site}/mcp/moved", follow=True)
        assert known.json() == {"id": signing.agent_id, "via": "signature"}
        assert moved.json() == known.json()
        assert _tokens(world) == 0
        (scoped,) = one.post(f"{site}/mcp/scoped")
        assert scoped.json() == {"via": "dpop"}
        again = one.post(f"{site}/mcp")[0]
        assert again.json()["via"] == "dpop", "a token counts before a signature"

    def test_what_is_sent_verifies_elsewhere(self, caller: Any, witness: Any, signing: Any) -> None:
        caller(options=signing.options).post(f"{witness.origin}/mcp")
        (seen,) = witness.seen
        assert (seen.agent, seen.problem) == (signing.name, "")
        assert '"content-digest"' in seen.covered
