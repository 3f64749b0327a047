"""Around `app.wsgi_app`: before every view, static file and error page, and after each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from auth_agent.agent import Agent
from auth_agent.drive import run
from auth_agent.gate import RelyingParty
from auth_agent.reply import cookie_headers, private_headers
from auth_agent.wire import Cookie, Pass, Reply, Visit
from auth_agent.wsgi import WsgiVisit, body_reader, send_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Entry:
    """What the middleware leaves in the environ: the agent, and whether anybody looked."""

    __slots__ = ("agent", "read", "relying_party", "visit")

    def __init__(self, relying_party: RelyingParty, visit: Visit, agent: Agent | None) -> None:
        self.relying_party = relying_party
        self.visit = visit
        self.agent = agent
        self.read = False


class Middleware:
    """Lets the relying party answer first, and dresses what the application answers."""

    def __init__(self, app: WSGIApplication, relying_party: RelyingParty) -> None:
        self.app = app
        self.relying_party = relying_party

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        visit = WsgiVisit(environ)
        outcome = self.relying_party.enter(visit)
        if not isinstance(outcome, Pass | Reply):
            outcome = run(outcome, body_reader(environ))
        if isinstance(outcome, Reply):
            return send_reply(visit, outcome, start_response)
        entry = Entry(self.relying_party, visit, outcome.agent)
        environ["auth_agent.entry"] = entry
        return self.app(environ, _finishing(start_response, entry, outcome.cookies))


def _finishing(
    start_response: StartResponse, entry: Entry, cookies: tuple[Cookie, ...]
) -> StartResponse:
    def finish(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if entry.read:
            headers = private_headers(headers)
        if cookies:
            headers = cookie_headers(headers, cookies)
        return start_response(status, headers, exc_info)

    return finish
