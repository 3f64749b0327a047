"""Reads requests, writes responses, and keeps the entry between the two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from auth_agent.asgi import AsgiVisit
from auth_agent.errors import SettingsError
from auth_agent.website.entry import Entry
from auth_agent.website.paths import path_readings, raw_path
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.visit import Visit
from auth_agent.wsgi import WsgiVisit, request_target
from auth_agent.wsgi import body_reader as wsgi_body_reader


class MetaVisit(WsgiVisit):
    """A visit read from `request.META`, whose PATH_INFO Django has already decoded."""

    __slots__ = ("_path_info", "request")

    def __init__(self, request: HttpRequest) -> None:
        Visit.__init__(self, request.method or "GET", request.path)
        self.request: Any = request
        self._environ = request.META
        self._path_info = request.path_info

    @property
    def paths(self) -> tuple[str, ...]:
        root = self._environ.get("SCRIPT_NAME", "")
        return (self.path, *path_readings(root, self._path_info))

    @property
    def raw_path(self) -> str:
        return raw_path(self.path, self._path_info, request_target(self._environ))


class ScopeVisit(AsgiVisit):
    """A visit read from the scope, which is more exact than META: Django joins split cookies with
    a comma. The mount point is Django's, which knows FORCE_SCRIPT_NAME.
    """

    __slots__ = ("_seen",)

    def __init__(self, request: ASGIRequest) -> None:
        query = request.META["QUERY_STRING"].encode()  # text in the scopes of Django's test client
        super().__init__(
            {**request.scope, "query_string": query}, root=request.META.get("SCRIPT_NAME") or ""
        )
        self.request = request
        self._seen = (request.path, request.path_info)

    @property
    def paths(self) -> tuple[str, ...]:
        return (*super().paths, *self._seen)


def visit_of(request: HttpRequest) -> MetaVisit | ScopeVisit:
    return ScopeVisit(request) if isinstance(request, ASGIRequest) else MetaVisit(request)


def body_reader(request: HttpRequest) -> Callable[[int], bytes | None]:
    """Returns a reader of the body, for our own routes; other bodies are never read."""

    def read(limit: int) -> bytes | None:
        body = request.read(limit + 1)
        if not body and "wsgi.input" in request.META:  # a body in chunks, which Django leaves out
            return wsgi_body_reader(request.META)(limit)
        return body if len(body) <= limit else None

    return read


def async_body_reader(request: HttpRequest) -> Callable[[int], Awaitable[bytes | None]]:
    """Returns the same for tasks; Django has received the body before it calls a middleware."""
    read_now = body_reader(request)

    async def read(limit: int) -> bytes | None:
        return read_now(limit)

    return read


class RequestAgent:
    """`request.agent`: the Agent, or None. A test may assign it to a request of its own."""

    def __get__(self, request: HttpRequest | None, kind: object = None) -> Any:
        return self if request is None else look(request).agent


def entry_of(request: Any) -> Entry:
    """Returns the entry. Raises `SettingsError` if the middleware has not seen the request."""
    entry = getattr(request, "auth_agent_entry", None)
    if isinstance(entry, Entry):
        return entry
    if not hasattr(request, "META"):
        raise TypeError(
            f"{type(request).__name__} is not a request: guard the method of a class with "
            "@method_decorator(requires_agent)"
        )
    raise SettingsError(
        [
            'MIDDLEWARE lacks "auth_agent_django.AuthAgentMiddleware". A request from '
            "RequestFactory passes no middleware; in a test call "
            "auth_agent_django.testing.with_agent(request, make_agent()), or "
            "auth_agent.testing.sign_in(client, make_agent())."
        ]
    )


def look(request: Any) -> Entry:
    """Returns the entry and marks the response as private.

    `cache_page` and Django's cache middleware decide before our middleware writes the headers, so
    this sets Django's own flag against storing. Django REST Framework wraps the request at which
    they look.
    """
    entry = entry_of(request)
    entry.read = True
    for seen in (request, getattr(request, "_request", request)):
        seen._cache_update_cache = False
    return entry


class ReplyResponse(HttpResponse):
    """A reply of the core. An async view may await it, a sync one may return it."""

    def __init__(self, reply: Reply, method: str | None) -> None:
        super().__init__(b"" if method == "HEAD" else reply.body, status=reply.status)
        del self.headers["Content-Type"]
        write_headers(self, reply.header_list())

    def __await__(self) -> Any:
        return self
        yield


def finish(response: HttpResponseBase, entry: Entry) -> HttpResponseBase:
    """Adds the core's headers to the application's response; never touches its body."""
    if entry.refused is not None:
        missing = entry.refused.missing_headers(response.status_code, response.headers)
        write_headers(response, missing)
    told = list(response.headers.items())
    finished = entry.finish(told)
    if finished == told:
        return response
    kept = {name.lower() for name, _ in finished}
    for name, _ in told:
        if name.lower() not in kept:
            del response.headers[name]
    write_headers(response, finished)
    return response


def write_headers(response: HttpResponseBase, headers: Iterable[tuple[str, str]]) -> None:
    """Writes headers and cookies, which a Django response keeps apart."""
    for name, value in headers:
        if name == "Set-Cookie":
            response.cookies.load(value)
        else:
            response[name] = value
