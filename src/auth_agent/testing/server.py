"""The fake server: in process or over HTTP, with faults on demand."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.testing import agents, listener, offline, provider
from auth_agent.testing.issuer import ABSENT
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import Settings

MAX_HANG = 60.0


class FakeServer(provider.FakeServer):
    """An Auth Agent server for the tests of a website: one website, one agent at a time.

    It is as strict as a real one. `in_process` and `serve` make it available to the website; the
    other methods make it fail, and `mend` ends that.
    """

    def __init__(
        self,
        issuer: str = agents.ISSUER,
        *,
        client_id: str = agents.CLIENT_ID,
        client_secret: str = agents.CLIENT_SECRET,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ahead = 0.0
        self._hung = threading.Event()
        super().__init__(
            issuer,
            client_id=client_id,
            client_secret=client_secret,
            clock=lambda: clock() + self._ahead,
        )
        # One key for all servers of this process: an application that outlives a test caches it,
        # and looks for an unknown one at most once in ten seconds.
        self.key, self.kid = _first_key()

    def settings(self, **overrides: Any) -> Settings:
        """Returns settings of a website of this server."""
        own = {"issuer": self.issuer, "client_id": self.client_id}
        return agents.test_settings(**{**own, "client_secret": self.client_secret, **overrides})

    @contextmanager
    def in_process(self) -> Iterator[FakeServer]:
        """Answers for its issuer in this process while the context is open; opens no socket."""
        offline.plug(self)
        try:
            yield self
        finally:
            offline.unplug(self)

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[FakeServer]:
        """Listens on 127.0.0.1 while the context is open; `issuer` is then its address.

        `GET /authorize` approves at once and redirects back.
        """
        before, self._hung = self.issuer, threading.Event()
        with listener.listen(self.respond, port) as address:
            self.issuer = address
            offline.serving[address] = self
            try:
                yield self
            finally:
                self._hung.set()
                del offline.serving[address]
                self.issuer = before

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Returns the answer over HTTP, where a hanging endpoint really hangs."""
        path = urlsplit(request.url).path
        if request.method == "GET" and path == "/authorize" and path not in self.answers:
            return HttpResponse(303, {"location": self.approve(request.url)}, b"")
        if isinstance(self.answers.get(path), _Hangs):
            self._hung.wait(MAX_HANG)
        return self.answer(request)

    def approve(
        self,
        authorization_url: str,
        *,
        agent: Agent | dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Returns the browser's URL after the agent's approval."""
        claims = claims_of(agent) if isinstance(agent, Agent) else agent
        return super().approve(authorization_url, agent=claims, **changes)

    def skew(self, seconds: float) -> None:
        """Sets the server's clock ahead, or behind if `seconds` is negative."""
        self._ahead = seconds

    def fail(self, path: str, status: int = 500) -> None:
        """Makes an endpoint fail, e.g. `/token`."""
        self.answers[path] = HttpResponse(status, {"content-type": "text/plain"}, b"failed")

    def hang(self, path: str) -> None:
        """Makes an endpoint hang; in process this is an immediate time-out."""
        self.answers[path] = _Hangs("The Auth Agent server did not answer in time.")

    def revoke(self) -> None:
        """Makes every issued token inactive."""
        self.active.clear()

    def mend(self) -> None:
        """Ends every fault; tokens stay revoked and the signing key stays."""
        self._ahead = 0.0
        self._hung.set()
        self._hung = threading.Event()
        for bent in (self.answers, self.claims, self.header, self.metadata, self.userinfo,
                     self.token_response, self.introspection):  # fmt: skip
            bent.clear()


class _Hangs(ServerUnavailable):
    """A time-out, as the website sees an endpoint that hangs."""


def claims_of(agent: Agent) -> dict[str, Any]:
    """Returns a server's claims about this agent; leaves out a field that is None."""
    claims = {
        "sub": agent.id,
        "agent_id": agent.id,
        "model": agent.model,
        "model_name": agent.model,
        "email": agent.email,
        "email_verified": agent.email_verified if agent.email is not None else None,
        "name": agent.name,
        "permissions": list(agent.permissions) or None,
        "auth_time": agent.authenticated_at,
        **agent.claims,
    }
    return {name: ABSENT if value is None else value for name, value in claims.items()}


@functools.lru_cache(maxsize=1)
def _first_key() -> tuple[Any, str]:
    made = provider.FakeServer()
    return made.key, made.kid
