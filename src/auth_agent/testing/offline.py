"""Answers a website's requests to a fake server inside this process, without a socket.

The drivers of flows are replaced while at least one server is plugged in, so no code of the
middleware depends on it. A plugged server answers for its own issuer alone, and only under a name
that no public server can have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from auth_agent.flow import drive as _drive
from auth_agent.flow.effects import Fetch
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.flow.fetching import shared
from auth_agent.flow.kept import Guard
from auth_agent.url import is_loopback

# RFC 2606 and RFC 6761: these names cannot be registered.
_RESERVED = (".example", ".test", ".invalid", ".localhost")
_EXAMPLES = ("example.com", "example.net", "example.org")


class Server(Protocol):
    """The server that answers: the fake server."""

    issuer: str

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Returns the response, or raises a network's error."""


def can_never_exist(issuer: str) -> bool:
    """Returns True if the issuer's host is reserved for tests and documentation."""
    host = "." + (urlsplit(issuer).hostname or "")
    return host.endswith((*_RESERVED, *(f".{name}" for name in _EXAMPLES)))


def plug(server: Server) -> None:
    """Makes the server answer for its issuer; raises `ValueError` if that may be a real one."""
    if not (can_never_exist(server.issuer) or is_loopback(urlsplit(server.issuer).hostname or "")):
        raise ValueError(
            f"{server.issuer} may be a real server, which a test cannot replace: use "
            "test_settings(), or an issuer like https://auth.example"
        )
    with _lock:
        if not _plugged:
            _originals[:] = [(drive.exchange, drive.exchange_async)]
            drive.exchange, drive.exchange_async = _exchange, _exchange_async
            drive.shared = _Documents
        _plugged.append(server)


def unplug(server: Server) -> None:
    """Ends the effect of `plug`."""
    with _lock:
        _plugged.remove(server)
        if not _plugged:
            drive.exchange, drive.exchange_async = _originals[0]
            drive.shared = shared


def plugged(issuer: str) -> Server | None:
    """Returns the server that was plugged in last for this issuer."""
    return next((server for server in reversed(_plugged) if server.issuer == issuer), None)


serving: dict[str, Server] = {}
"""The servers that listen on 127.0.0.1, by their address."""


_Exchange = Callable[[HttpRequest], HttpResponse]
_AsyncExchange = Callable[[HttpRequest], Awaitable[HttpResponse]]
drive: Any = _drive  # whose two functions are replaced
_lock = Guard()
_plugged: list[Server] = []
_originals: list[tuple[_Exchange, _AsyncExchange]] = []


def _server_of(request: HttpRequest | Fetch) -> Server | None:
    try:
        parts = urlsplit(request.url)
    except ValueError:  # no server's; the real exchange says what is wrong
        return None
    return plugged(f"{parts.scheme}://{parts.netloc}")


def _exchange(request: HttpRequest) -> HttpResponse:
    server = _server_of(request)
    return _originals[0][0](request) if server is None else server.answer(request)


class _Documents:
    """Answers for the documents of agents, in place of `flow.fetching.shared`."""

    close = staticmethod(shared.close)

    @staticmethod
    def fetch(effect: Fetch) -> HttpResponse:
        server = _server_of(effect)
        if server is None:
            return shared.fetch(effect)
        return server.answer(HttpRequest("GET", effect.url, (("Accept", effect.accept),)))

    @staticmethod
    async def fetch_async(effect: Fetch) -> HttpResponse:
        if _server_of(effect) is None:
            return await shared.fetch_async(effect)
        return _Documents.fetch(effect)


async def _exchange_async(request: HttpRequest) -> HttpResponse:
    server = _server_of(request)
    return await _originals[0][1](request) if server is None else server.answer(request)
