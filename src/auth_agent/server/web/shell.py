"""The async shell: reads a bounded body, runs a plain function (in a thread, if slow), answers."""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple, Protocol

from anyio import to_thread
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolIsEmpty
from starlette.types import Receive, Scope, Send

from auth_agent.server.web.at_once import WouldWait, or_wait
from auth_agent.server.web.body import read_body
from auth_agent.server.web.call import Answer, Call, Headers, Refusal
from auth_agent.server.web.counters import observe_request
from auth_agent.server.web.hosts import Hosts
from auth_agent.server.web.pages.render import Pages
from auth_agent.server.web.proxies import Proxies
from auth_agent.server.web.route import Route, S

log = logging.getLogger("auth_agent.server")

_NOT_THERE = Refusal(404, "not_found", "There is nothing at this address")
_TWICE = Refusal(400, "invalid_request", "The Authorization header is given more than once")
_BROKEN = Refusal(
    500,
    "server_error",
    "The server has an internal error, which its log describes; try again later",
)
_BUSY = Refusal(
    503,
    "temporarily_unavailable",
    "The server cannot reach its database; try again in a moment",
    (("retry-after", "5"),),
)
EVERYWHERE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_EVERYWHERE = [(name.encode(), value.encode()) for name, value in EVERYWHERE.items()]
_WITH_BODY = ("POST", "PUT", "PATCH")
# Two proofs in one request are refused, so the second one must not get lost.
_JOINED = {"cookie": "; ", "x-forwarded-for": ", ", "dpop": ", "}
# Header names in the form that browsers send (RFC 9110 section 5.6.2).
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
_HEADER_NAMES = re.compile(f"{_HEADER_NAME}(?:, ?{_HEADER_NAME}){{0,31}}")
_PREFLIGHT: Headers = (
    ("access-control-allow-methods", "GET, POST"),
    ("access-control-allow-headers", "authorization, content-type, dpop"),
    ("access-control-max-age", "600"),
)

# RFC 9449 sections 7.1 and 8: scripts of other origins see no other headers.
_EXPOSED: Headers = (("access-control-expose-headers", "WWW-Authenticate, DPoP-Nonce"),)


class Origins(Protocol):
    """The origins of the registered websites."""

    def has(self, origin: str) -> bool: ...


class Surroundings(NamedTuple):
    """The objects that all endpoints share; without `hosts` any Host header is accepted.

    Without `at_once` nothing is tried on the loop's thread.
    """

    max_body: int
    proxies: Proxies
    origins: Origins
    pages: Pages
    hosts: Hosts | None
    at_once: Callable[[], AbstractContextManager[None]] | None


class Endpoint:
    """A route as an ASGI application; `subject` is the object that its handler works with."""

    def __init__(self, around: Surroundings, route: Route[S], subject: S) -> None:
        self.route: Route[Any] = route
        self._around = around
        self._respond = functools.partial(route.handler, subject)
        self._name = route.name
        self._cors = route.cors
        self._at_once = around.at_once if route.is_quick else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = await self._call(scope, receive)
        except Refusal as refusal:
            await send_answer(send, self._refused(refusal))
            return
        except ConnectionResetError:
            return
        started = time.perf_counter()
        answer = await self._answered(call)
        observe_request(self._name, answer.status, time.perf_counter() - started)
        await send_answer(send, answer)

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        headers, method = _headers(scope), scope["method"]
        if "\0" in scope["path"]:
            raise _NOT_THERE
        if self._around.hosts is not None:
            self._around.hosts.check(headers.get("host", ""))
        body = b""
        if method in _WITH_BODY:
            body = await read_body(receive, headers, self._around.max_body)
        peer = scope["client"][0] if scope.get("client") else ""
        return Call(
            method,
            scope["path"],
            scope.get("path_params", {}),
            scope["query_string"],
            headers,
            body,
            self._around.proxies.client(peer, headers.get("x-forwarded-for")),
        )

    async def _answered(self, call: Call) -> Answer:
        if self._at_once is not None:
            # If the database cannot be opened or has no connection free, the thread tries again
            # and reports the error.
            with suppress(WouldWait, OperationalError, PoolIsEmpty), self._at_once():
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
            return self._refused(refusal)
        except WouldWait:
            raise
        except (OperationalError, PoolIsEmpty):
            or_wait()
            log.exception("database error at %s", self._name)
            return self._refused(_BUSY)
        except Exception:
            # The last line of defence: the client sees no detail, the log has it.
            log.exception("unexpected error at %s", self._name)
            return self._refused(_BROKEN)

    def _refused(self, refusal: Refusal) -> Answer:
        return self.route.says_no(self._around.pages, refusal)

    def _with_cors(self, call: Call) -> Answer:
        """Adds CORS headers (Fetch standard); never for credentials, so `*` gives nothing away."""
        origin = call.headers.get("origin", "")
        allowed = self._cors == "any" or self._around.origins.has(origin)
        preflight = call.method == "OPTIONS"
        answer = Answer(204) if preflight else self._handled(call)
        if not allowed:
            return answer
        extra: Headers = (("access-control-allow-origin", "*" if self._cors == "any" else origin),)
        extra += _preflight(call, self._cors) if preflight else _EXPOSED
        if self._cors != "any":
            extra += (("vary", "Origin"),)
        return answer.with_headers(extra)


def _preflight(call: Call, cors: str) -> Headers:
    """Allows the needed headers; on public documents every requested one (Fetch standard)."""
    asked = call.headers.get("access-control-request-headers", "")
    if cors != "any" or not _HEADER_NAMES.fullmatch(asked):
        return _PREFLIGHT
    allowed = ("access-control-allow-headers", asked)
    return (*(pair for pair in _PREFLIGHT if pair[0] != allowed[0]), allowed)


def _headers(scope: Scope) -> dict[str, str]:
    """Returns the first of each header, and joins those that may be repeated.

    Refuses two credentials, of which a proxy may have checked the other one.
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


async def send_answer(send: Send, answer: Answer) -> None:
    """Sends an answer, in chunks if it has any."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status not in (204, 304):
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
        if answer.chunks is None:
            headers.append((b"content-length", str(len(answer.body)).encode()))
    headers.extend(_EVERYWHERE)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.chunks is not None:
        while (chunk := await to_thread.run_sync(next, answer.chunks, None)) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body})
