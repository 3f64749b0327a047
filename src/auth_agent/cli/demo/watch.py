"""Records the requests to the server, so that the demo can show them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.html import request_ids


class Exchange(NamedTuple):
    """One request to the server; never its query, body or headers."""

    method: str
    path: str
    status: int


class Watch:
    """An ASGI middleware that records exchanges, and reports each, and each browser that waits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._seen: list[Exchange] = []
        self.on_waiting: Callable[[str], None] | None = None
        self.on_exchange: Callable[[Exchange], None] | None = None

    def take(self) -> list[Exchange]:
        """Returns the exchanges since the last call."""
        with self._lock:
            seen, self._seen = self._seen, []
            return seen

    def _record(self, exchange: Exchange) -> None:
        with self._lock:
            self._seen.append(exchange)
        if self.on_exchange is not None:
            self.on_exchange(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        waits = scope["path"] == "/authorize" and headers.get(b"sec-fetch-mode") == b"navigate"
        status, chunks = 0, []

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Recorded before the answer is sent, so that its receiver finds it here.
                self._record(Exchange(scope["method"], scope["path"], status))
            elif waits:
                chunks.append(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, watched)
        if waits and status == 200 and self.on_waiting is not None:
            page = HttpResponse(200, {"content-type": "text/html"}, b"".join(chunks))
            for request_id in request_ids(page):
                self.on_waiting(request_id)
