"""Sign in with Auth Agent for any WSGI application.

application = AuthAgentMiddleware(application)      # settings from AUTH_AGENT_*
environ["auth_agent"]                               # the Agent, or None
agent_of(environ)                                   # the same, for what depends on it

A plain dict does not notice reads: with an agent every response is private, without one only
those for which `agent_of` was called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from auth_agent.flow.drive import run
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry, agent_of
from auth_agent.website.gate import RelyingParty
from auth_agent.website.paths import path_readings, raw_path
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Visit, unfold_cookies

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "AuthAgentMiddleware",
    "Entry",
    "Reply",
    "WsgiVisit",
    "agent_of",
    "body_reader",
    "send_reply",
]

_NO_PREFIX = ("CONTENT_TYPE", "CONTENT_LENGTH")  # PEP 3333


class WsgiVisit(Visit):
    """A visit read from a WSGI environ."""

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        super().__init__(environ["REQUEST_METHOD"], _decoded(path))
        self._environ = environ

    @property
    def request(self) -> Any:
        return self._environ

    @property
    def paths(self) -> tuple[str, ...]:
        environ = self._environ
        root, given = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        return path_readings(_decoded(root), _decoded(given))

    @property
    def raw_path(self) -> str:
        environ = self._environ
        return raw_path(self.path, _decoded(environ.get("PATH_INFO", "")), request_target(environ))

    @property
    def query(self) -> str:
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    @property
    def authorization(self) -> str | None:
        value: str | None = self._environ.get("HTTP_AUTHORIZATION")
        return value

    @property
    def cookie_header(self) -> str | None:
        value: str | None = self._environ.get("HTTP_COOKIE")
        return unfold_cookies(value) if value is not None else None

    def header(self, name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value: str | None = self._environ.get(key if key in _NO_PREFIX else f"HTTP_{key}")
        return value


def request_target(environ: WSGIEnvironment) -> str:
    """Returns the path of the request line, which most servers add to the environ, else ""."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if not target.startswith("/"):  # the absolute form (RFC 9112 3.2.2)
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0]


def _decoded(path: str) -> str:
    return path.encode("latin-1").decode("utf-8", "replace")  # PEP 3333


class AuthAgentMiddleware:
    """Wraps any WSGI application; raises `SettingsError` at start if the settings are wrong."""

    def __init__(
        self,
        app: WSGIApplication,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
    ) -> None:
        self.app = app
        self.relying_party = relying_party or RelyingParty(settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        visit = WsgiVisit(environ)
        outcome = self.relying_party.enter(visit)
        if not isinstance(outcome, (Pass, Reply)):
            outcome = run(outcome, body_reader(environ))
        if isinstance(outcome, Reply):
            return send_reply(visit, outcome, start_response)
        entry = Entry(self.relying_party, visit, outcome)
        self.attach(environ, entry)
        return self.app(environ, _finishing(start_response, entry))

    def attach(self, environ: WSGIEnvironment, entry: Entry) -> None:
        """Stores the agent; the plain dict of PEP 3333 does not notice reads, so an agent counts as
        read."""
        environ["auth_agent"] = entry.agent
        environ["auth_agent.entry"] = entry
        entry.read = entry.read or not entry.is_nobody


def body_reader(environ: WSGIEnvironment) -> Callable[[int], bytes | None]:
    """Returns a reader of the body, for our own routes; other bodies are never read."""

    def read(limit: int) -> bytes | None:
        length = environ.get("CONTENT_LENGTH") or ""
        if not length and environ.get("wsgi.input_terminated"):  # a body in chunks
            return _bounded(environ["wsgi.input"].read(limit + 1), limit)
        length = length.lstrip("0") or "0"
        if not length.isdecimal() or len(length) > len(str(limit)) or int(length) > limit:
            return None
        body: bytes = environ["wsgi.input"].read(int(length))
        return body

    return read


def _bounded(body: bytes, limit: int) -> bytes | None:
    return body if len(body) <= limit else None


def send_reply(visit: Visit, reply: Reply, start_response: StartResponse) -> Iterable[bytes]:
    status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    start_response(status, reply.header_list())
    return [b"" if visit.method == "HEAD" else reply.body]


def _finishing(start_response: StartResponse, entry: Entry) -> StartResponse:
    def finish(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        return start_response(status, entry.finish(headers), exc_info)

    return finish
