"""The shop without a framework, as an ASGI and as a WSGI application.

Run it with `uvicorn examples.bare_site:asgi` or `gunicorn examples.bare_site:wsgi`;
docs/start/website.md says which AUTH_AGENT_* it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from auth_agent import Agent, RelyingParty, Requirement
from auth_agent import asgi as for_asgi
from auth_agent import wsgi as for_wsgi
from auth_agent.asgi import Entry, Reply
from examples import pages

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NEEDS = {
    "/orders": Requirement(),
    "/refunds": Requirement(scopes=("refunds:write",)),
    "/me": Requirement(),
    "/reports": Requirement(scopes=("reports:read",)),
}
PAGES = {"/": pages.catalogue_page, "/orders": pages.orders_page, "/refunds": pages.refunds_page}


def answer(path: str, entry: Entry) -> Reply:
    """Answers every page of the shop; AUTH_AGENT_PROTECT=/private/* guards the report."""
    if path in NEEDS and (refusal := entry.require(NEEDS[path])) is not None:
        return refusal
    if path in PAGES:
        return _show(PAGES[path](_visitor(path, entry)))
    if path == "/me" and entry.agent is not None:
        return _json(200, _describe(entry.agent))
    if path == "/private/report":
        return _json(200, {"report": "42 orders this week"})
    if path == "/reports":
        return _json(200, {"reports": ["orders", "refunds"]})
    return _json(404, {"error": "not_found"})


async def _asgi(scope: for_asgi.Scope, receive: for_asgi.Receive, send: for_asgi.Send) -> None:
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    reply = answer(scope["path"], scope["auth_agent.entry"])
    await for_asgi.send_reply(scope, receive, send, reply)


def _wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    entry = environ["auth_agent.entry"]
    return for_wsgi.send_reply(entry.visit, answer(entry.visit.path, entry), start_response)


def _describe(agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": agent.id,
        "issuer": agent.issuer,
        "model": agent.model,
        "email": agent.email,
        "scopes": list(agent.scopes),
        "via": agent.via,
    }


def _visitor(path: str, entry: Entry) -> pages.Visitor:
    entry.read = True  # the page looks different to an agent, so no shared cache may keep it
    relying_party = entry.relying_party
    back = "/me" if path == "/" else path
    return pages.Visitor(entry.agent, relying_party.login_path(back), relying_party.logout_path())


def _show(page: pages.Page) -> Reply:
    headers = {"Content-Type": "text/html; charset=utf-8", **page.headers}
    return Reply(200, tuple(headers.items()), page.html.encode())


def _json(status: int, content: dict[str, Any]) -> Reply:
    return Reply(status, (("Content-Type", "application/json"),), json.dumps(content).encode())


relying_party = RelyingParty()
asgi = for_asgi.AuthAgentMiddleware(_asgi, relying_party=relying_party)
wsgi = for_wsgi.AuthAgentMiddleware(_wsgi, relying_party=relying_party)
