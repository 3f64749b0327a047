"""A real server, a real website and the SDK in both colours, over HTTP on loopback."""

from __future__ import annotations

import inspect
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from auth_agent import Settings
from auth_agent.flow import drive
from auth_agent.sdk import AgentSDK, AsyncAgentSDK, Step
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.registry.clients import add_client
from auth_agent_starlette import AuthAgentMiddleware, requires_agent
from tests.adapters.network import free_port, serve_asgi
from tests.sdk.witness import Signing, Witness


def run_async(main: Any, *arguments: Any) -> Any:
    """Runs in its own thread: a browser's Playwright may hold this thread's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, main, *arguments).result()


class Tap:
    """In front of an application: remembers what it was asked, and may answer in its place."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.asked: list[tuple[str, str]] = []
        self.told = b""
        self.instead: dict[str, Any] = {}
        self.before: dict[str, Callable[[], None]] = {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        self.asked.append((scope["method"], path))
        self.told += scope["query_string"] + b"".join(n + v for n, v in scope["headers"])

        async def listening():
            message = await receive()
            self.told += message.get("body", b"")
            return message

        for start, act in self.before.items():
            if path.startswith(start):
                await anyio.to_thread.run_sync(act)
        await self.instead.get(path, self.app)(scope, listening, send)

    def forget_what_was_asked(self) -> None:
        self.asked, self.told = [], b""

    def forget(self) -> None:
        self.forget_what_was_asked()
        self.instead, self.before = {}, {}


@dataclass
class World:
    issuer: str
    server: Tap
    website: str
    shop: Tap
    client_id: str
    agent_id: str
    secret: str
    settings: dict[str, Any]
    context: Any
    ahead: list[float] = field(default_factory=lambda: [0.0])
    mails: queue.Queue[Mail] = field(default_factory=queue.Queue)

    @property
    def database(self):
        return self.context.database

    def options(self, **changes):
        return {
            "agent_id": self.agent_id,
            "agent_secret": self.secret,
            "server_url": self.issuer,
            "model": "claude-sonnet-4",
            **changes,
        }


@pytest.fixture(scope="session")
def _world(tmp_path_factory) -> Iterator[World]:
    issuer, website = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    ahead = [0.0]
    folder = tmp_path_factory.mktemp("sdk")
    mails: queue.Queue[Mail] = queue.Queue()
    app = create_app(
        ServerSettings(issuer=issuer, database=f"sqlite:///{folder}/auth-agent.db"),
        clock=lambda: time.time() + ahead[0],
        outbox=Outbox(mails.put),
    )
    database = app.state.context.database
    client = add_client(database, "Shop", [f"{website}/auth-agent/callback"], now=int(time.time()))
    agent = add_agent(database, "ada@example.com", now=int(time.time()))
    settings = {
        "issuer": issuer,
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "secret": "a secret of the website that is long enough",
        "base_url": website,
    }
    server, shop = Tap(app), Tap(make_shop(Settings(**settings)))
    secret = agent.agent_secret.reveal()
    with serving(server, issuer), serving(shop, website):
        yield World(
            issuer,
            server,
            website,
            shop,
            client.client_id,
            agent.agent_id,
            secret,
            settings,
            app.state.context,
            ahead,
            mails,
        )
    drive.close()


class AgentKey:
    """A private key of an agent, and what its server would read in a signature."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.pem = Secret(pem.decode())
        self.public = key.public_key()
        self.public_pem = self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def open(self, assertion: str, audience: str) -> dict[str, Any]:
        return jwt.decode(
            assertion,
            self.public,
            algorithms=["ES256"],
            audience=audience,
            options={"verify_exp": False, "verify_iat": False},
        )


@pytest.fixture(scope="session")
def agent_key() -> AgentKey:
    return AgentKey()


@pytest.fixture
def world(_world) -> World:
    _world.server.forget()
    _world.shop.forget()
    _world.ahead[0] = 0.0
    return _world


def make_shop(settings):
    @requires_agent
    async def me(request):
        agent = request.state.agent
        return JSONResponse({"agent_id": agent.id, "model": agent.model})

    async def home(request):
        return JSONResponse({"signed_in": request.state.agent is not None})

    routes = [Route("/", home), Route("/me", me)]
    return Starlette(routes=routes, middleware=[Middleware(AuthAgentMiddleware, settings=settings)])


def serving(app, url):
    return serve_asgi(app, int(url.rpartition(":")[2]))


@pytest.fixture(scope="session")
def _stages() -> Iterator[list[tuple[str, Tap]]]:
    """Starts two servers that wait for an application."""
    with ExitStack() as running:
        stages = []
        for _ in range(2):
            url, tap = f"http://127.0.0.1:{free_port()}", Tap(Starlette())
            running.enter_context(serving(tap, url))
            stages.append((url, tap))
        yield stages


@pytest.fixture
def serve(_stages) -> Callable[[Any], tuple[str, Tap]]:
    """Puts another website on a stage; returns its origin and what it hears."""
    free = list(_stages)

    def start(app):
        url, tap = free.pop()
        tap.forget()
        tap.app = app
        return url, tap

    return start


@pytest.fixture
def signing(world, tmp_path):
    return Signing(world, tmp_path)


@pytest.fixture
def witness(serve):
    witness = Witness()
    witness.origin, _ = serve(witness)
    return witness


@dataclass
class Result:
    url: str
    response: httpx2.Response
    steps: tuple[Step, ...]
    again: httpx2.Response
    text: str


def _sign_in(options, url, **wanted):
    with AgentSDK(**options).sign_in(url, **wanted) as site:
        again = site.client.get("/me")
        return Result(site.url, site.response, site.steps, again, repr(site))


def _sign_in_async(options, url, **wanted):
    async def main():
        async with await AsyncAgentSDK(**options).sign_in(url, **wanted) as site:
            again = await site.client.get("/me")
            return Result(site.url, site.response, site.steps, again, repr(site))

    return run_async(main)


@pytest.fixture(params=[_sign_in, _sign_in_async], ids=["sync", "async"])
def sign_in(request):
    """Runs `sign_in(options, url)` in one colour, then a second request with the client."""
    return request.param


class Sync:
    """An AgentSDK."""

    kind = AgentSDK

    def __init__(self, **options):
        self.sdk = AgentSDK(**options)

    def __getattr__(self, name):
        return getattr(self.sdk, name)

    def get(self, session, *urls, **more):
        """Requests each URL with its own session in this colour; returns the answers."""
        with session:
            return [session.get(url, **more) for url in urls]


class Async(Sync):
    """An AsyncAgentSDK, of which each call is awaited in an event loop of its own."""

    kind = AsyncAgentSDK

    def __init__(self, **options):
        self.sdk = AsyncAgentSDK(**options)

    def __getattr__(self, name):
        method = getattr(self.sdk, name)
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *args, **kwargs: run_async(lambda: method(*args, **kwargs))

    def get(self, session, *urls, **more):
        async def main():
            async with session:
                return [await session.get(url, **more) for url in urls]

        return run_async(main)


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def make_sdk(request):
    """Returns `make_sdk(**options)`: an SDK in one colour whose methods return their results."""
    return request.param
