"""The async shell: reads a bounded body, lets a plain function decide in a thread, answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

from anyio import to_thread
from sqlalchemy.exc import OperationalError
from starlette.types import Receive, Scope, Send

from auth_agent.server.web.at_once import WouldWait, or_wait
from auth_agent.server.web.call import Answer, Call, Headers, Refusal
from auth_agent.server.web.counters import observe_request
from auth_agent.server.web.proxies import Proxies

Respond = Callable[[Call], Answer]
log = logging.getLogger("auth_agent.server")

_TOO_LARGE = Refusal(413, "invalid_request", "The body is too large")
_NOT_THERE = Refusal(404, "not_found", "There is nothing at this address")
_TWICE = Refusal(400, "invalid_request", "The Authorization header is given more than once")
_BROKEN = Refusal(500, "server_error", "Something went wrong here; it has been logged")
_BUSY = Refusal(
    503, "temporarily_unavailable", "The database is busy; try again", (("retry-after", "2"),)
)
_EVERYWHERE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_WITH_BODY = ("POST", "PUT", "PATCH")
_JOINED = {"cookie": "; ", "x-forwarded-for": ", "}
_PREFLIGHT: Headers = (
    ("access-control-allow-methods", "GET, POST"),
    ("access-control-allow-headers", "authorization, content-type"),
    ("access-control-max-age", "600"),
)


class Surroundings(NamedTuple):
    """What every endpoint stands in; without `at_once` nothing is tried on the loop's thread."""

    max_body: int
    proxies: Proxies
    origins: Container[object]
    at_once: Callable[[], AbstractContextManager[None]] | None


class Endpoint:
    """One handler as an ASGI application; `cors` is `any`, `registered` or empty.

    A quick handler is tried on the event loop's thread first (`at_once.py`).
    """

    def __init__(
        self,
        around: Surroundings,
        respond: Respond,
        name: str,
        cors: str = "",
        *,
        is_quick: bool = False,
    ) -> None:
        self._around = around
        self._respond = respond
        self._name = name
        self._cors = cors
        self._at_once = around.at_once if is_quick else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        try:
            headers = _headers(scope)
            if "\0" in scope["path"]:
                raise _NOT_THERE
            body = b""
            if method in _WITH_BODY:
                body = await _read_body(receive, headers, self._around.max_body)
        except Refusal as refusal:
            await _send(send, refusal.answer())
            return
        except ConnectionResetError:
            return
        peer = scope["client"][0] if scope.get("client") else ""
        address = self._around.proxies.client(peer, headers.get("x-forwarded-for"))
        call = Call(
            method,
            scope["path"],
            scope.get("path_params", {}),
            scope["query_string"],
            headers,
            body,
            address,
        )
        started = time.perf_counter()
        answer = await self._answered(call)
        observe_request(self._name, answer.status, time.perf_counter() - started)
        await _send(send, answer)

    async def _answered(self, call: Call) -> Answer:
        if self._at_once is not None:
            # A database that cannot be opened is told of by the thread, as all trouble is.
            with suppress(WouldWait, OperationalError), self._at_once():
                return self._answer(call)
        return await to_thread.run_sync(self._answer, call)

    def _answer(self, call: Call) -> Answer:
        if self._cors and ("origin" in call.headers or call.method == "OPTIONS"):
            return self._with_cors(call)
        return self._handled(call)

    def _handled(self, call: Call) -> Answer:
        try:
            return self._respond(call)
        except Refusal as refusal:
            return refusal.answer()
        except WouldWait:
            raise
        except OperationalError:
            or_wait()
            log.exception("database error at %s", self._name)
            return _BUSY.answer()
        except Exception:
            # The last line of defence: the caller sees no detail, the log has it.
            log.exception("unexpected error at %s", self._name)
            return _BROKEN.answer()

    def _with_cors(self, call: Call) -> Answer:
        """Fetch standard; credentials are never allowed, so `*` gives nothing away."""
        origin = call.headers.get("origin", "")
        allowed = self._cors == "any" or origin in self._around.origins
        preflight = call.method == "OPTIONS"
        answer = Answer(204) if preflight else self._handled(call)
        if not allowed:
            return answer
        extra: Headers = (("access-control-allow-origin", "*" if self._cors == "any" else origin),)
        if preflight:
            extra += _PREFLIGHT
        if self._cors != "any":
            extra += (("vary", "Origin"),)
        return Answer(answer.status, answer.body, answer.headers + extra, answer.content_type)


def _headers(scope: Scope) -> dict[str, str]:
    """ASGI writes names in lower case; of a repeated header the first counts, or they add up.

    Of two credentials a proxy may have looked at the other one, so that they are refused.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in _JOINED and name in found:
            found[name] += _JOINED[name] + value
        elif name == "authorization" and name in found:
            raise _TWICE
        else:
            found.setdefault(name, value)
    return found


async def _read_body(receive: Receive, headers: dict[str, str], limit: int) -> bytes:
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _TOO_LARGE
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _TOO_LARGE
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(send: Send, answer: Answer) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
        if answer.chunks is None:
            headers.append((b"content-length", str(len(answer.body)).encode()))
    headers.extend(_EVERYWHERE)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.chunks is not None:
        while (chunk := await to_thread.run_sync(next, answer.chunks, None)) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body})
