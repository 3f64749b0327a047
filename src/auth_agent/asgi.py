"""Sign in with Auth Agent for any ASGI application.

app = AuthAgentMiddleware(app)      # settings from AUTH_AGENT_*
scope["auth_agent"]                 # the Agent, or None
agent_of(scope)                     # the same, for what depends on it

A plain dict does not notice reads: with an agent every response is private, without one only
those for which `agent_of` was called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from auth_agent.flow.drive import aclose, arun
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry, agent_of
from auth_agent.website.gate import RelyingParty
from auth_agent.website.paths import path_readings, public_path, raw_path
from auth_agent.website.web.headers import has_cache_headers
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Visit

__all__ = [
    "AsgiVisit",
    "AuthAgentMiddleware",
    "Entry",
    "Reply",
    "agent_of",
    "body_reader",
    "send_reply",
]

BODY_SECONDS = 10.0

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class AsgiVisit(Visit):
    """A visit read from an ASGI scope."""

    __slots__ = (
        "_given",
        "_headers",
        "_query",
        "_raw_path",
        "_root",
        "authorization",
        "cookie_key",
        "request",
    )

    def __init__(self, scope: Scope, root: str = "") -> None:
        # Has to be fast: calls no function of ours, and builds no dictionary of the headers.
        self.problem = None
        self.is_private = self.is_handshake = False
        self.method = scope.get("method", "GET")
        self.request: Any = scope
        self._given = self.path = given = scope["path"]
        self._root = root = root or scope.get("root_path", "")
        if root:
            self.path = public_path(root, given)
        self._raw_path: bytes | None = scope.get("raw_path")
        self._query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        cookie = authorization = None
        is_repeated = False
        for name, value in self._headers:
            if name == b"cookie":
                is_repeated = is_repeated or cookie is not None
                cookie = value
            elif name == b"authorization":
                is_repeated = is_repeated or authorization is not None
                authorization = value
        self.cookie_key: str | bytes | None = cookie
        self.authorization: str | None = None
        if authorization is not None:
            self.authorization = authorization.decode("latin-1")
        if is_repeated:
            self.cookie_key = self.header("cookie")
            self.authorization = self.header("authorization")

    @property
    def raw_path(self) -> str:
        return raw_path(self.path, self._given, (self._raw_path or b"").decode("latin-1"))

    @property
    def paths(self) -> tuple[str, ...]:
        return path_readings(self._root, self._given)

    @property
    def query(self) -> str:
        return self._query.decode("latin-1")

    @property
    def cookie_header(self) -> str | None:
        key = self.cookie_key
        return key.decode("latin-1") if isinstance(key, bytes) else key

    def header(self, name: str) -> str | None:
        wanted = name.encode()
        values = [value for found, value in self._headers if found == wanted]
        joined = (b"; " if name == "cookie" else b", ").join(values)
        return joined.decode("latin-1") if values else None


class AuthAgentMiddleware:
    """Wraps any ASGI application; raises `SettingsError` at start if the settings are wrong."""

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
    ) -> None:
        self.app = app
        self._root = _root_of(app)
        self.relying_party = relying_party or RelyingParty(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, relying_party = scope["type"], self.relying_party
        if kind == "http":
            visit = AsgiVisit(scope, self._root)
            outcome = relying_party.enter(visit)
        elif kind == "lifespan":
            await self.app(scope, receive, _closing(send))
            return
        else:
            visit = AsgiVisit(scope, self._root)
            outcome = relying_party.enter_socket(visit)
        if not isinstance(outcome, Pass):
            if not isinstance(outcome, Reply):
                outcome = await arun(outcome, body_reader(receive))
            if isinstance(outcome, Reply):
                await send_reply(scope, receive, send, outcome)
                return
        entry = Entry(relying_party, visit, outcome)
        self.attach(scope, entry)
        try:
            await self.app(scope, receive, _Answer(send, entry).send)
        finally:
            visit.request = None  # the scope holds the entry: a cycle for the collector

    def attach(self, scope: Scope, entry: Entry) -> None:
        """Stores the agent; a plain dict does not notice reads, so an agent counts as read."""
        scope["auth_agent"] = entry.agent
        scope["auth_agent.entry"] = entry
        entry.read = entry.read or not entry.is_nobody


def _root_of(app: App) -> str:
    """Returns FastAPI's own `root_path`, which is not yet in the scope of an outer middleware.

    Other frameworks call a directory of the file system by this name.
    """
    return str(getattr(app, "root_path", "")) if hasattr(app, "root_path_in_servers") else ""


def body_reader(receive: Receive) -> Callable[[int], Awaitable[bytes | None]]:
    """Returns a reader of the body, for our own routes; other bodies are never read."""

    async def read(limit: int) -> bytes | None:
        import anyio  # noqa: PLC0415

        body = bytearray()
        with anyio.move_on_after(BODY_SECONDS):
            while len(body) <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if not message.get("more_body"):
                    return bytes(body) if len(body) <= limit else None
        return None

    return read


async def send_reply(scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
    prefix = "http"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})  # the server answers 403
            return
        prefix = "websocket.http"
    headers = _encode(reply.header_list())
    await send({"type": f"{prefix}.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else reply.body
    await send({"type": f"{prefix}.response.body", "body": body})


_PRIVATE = [(b"vary", b"Cookie, Authorization"), (b"cache-control", b"private")]


class _Answer(msgspec.Struct, eq=False):
    """The application's response to one request; made quicker than a closure."""

    pass_on: Send
    entry: Entry

    def send(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and self.entry.finishes():
            headers = message.get("headers", ())
            if not isinstance(headers, list):  # any iterable is allowed, and it is read twice
                headers = [*headers]
            message["headers"] = _finished(headers, self.entry)
        return self.pass_on(message)


def _finished(
    headers: Iterable[tuple[bytes, bytes]], entry: Entry
) -> Iterable[tuple[bytes, bytes]]:
    """Returns the result of `Entry.finish`, with a fast path for common cases."""
    passed = entry.passed
    if not passed.cookies:
        if not entry.visit.is_private and not _is_page(headers):
            return headers
        if passed.agent is not None and not has_cache_headers(headers):
            return [*headers, *_PRIVATE]
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    return _encode(entry.finish(texts))


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value[:9].lower() == b"text/html"
    return False


def _closing(send: Send) -> Send:
    async def close(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await aclose()
        await send(message)

    return close


def _encode(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
