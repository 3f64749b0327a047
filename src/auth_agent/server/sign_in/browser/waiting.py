"""The page that waits for the agent."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from auth_agent.server.approval.questions import short_code
from auth_agent.server.context import Context
from auth_agent.server.registry.self_registered.documents import document_host
from auth_agent.server.sign_in.parties import Resource, resources_of
from auth_agent.server.web.call import Answer, Headers
from auth_agent.server.web.pages.mould import Mould, Values
from auth_agent.server.web.pages.render import Pages
from auth_agent.server.web.urls import host_of, is_private_uri, return_origin


class Waiting(NamedTuple):
    """What the page shows of a sign-in that was opened just now."""

    id: str
    client_id: str
    client_name: str
    redirect_uri: str
    audience: str
    scope: str
    expires_at: int


class _Asked(NamedTuple):
    """What all sign-ins have in common that one website opens with the same parameters."""

    issuer: str
    client_id: str
    website: str
    redirect_uri: str
    resources: tuple[Resource, ...]
    scope: str


class _Shown(NamedTuple):
    """The page of these sign-ins, and where its form may lead."""

    mould: Mould
    form_target: str


# What a website learns with each scope, as people call it.
_LEARNS = {
    "openid": "which agent this is",
    "profile": "its name and model",
    "email": "its owner's e-mail address",
}
MOST_REMEMBERED = 128  # pages of about ten kilobytes


def waiting_page(context: Context, sign_in: Any, cookie: Headers) -> Answer:
    """Shows a pending sign-in (`Waiting`, or as `find_sign_in` reads it) to its browser."""
    now = context.clock()
    asked = _Asked(
        issuer=context.settings.issuer,
        client_id=sign_in.client_id,
        website=sign_in.client_name,
        redirect_uri=sign_in.redirect_uri,
        resources=tuple(resources_of(context, sign_in)),
        scope=sign_in.scope,
    )
    shown = _shown(context.pages, asked)
    seconds = max(0, int(sign_in.expires_at - now))
    page = context.pages.filled(
        shown.mould,
        form_targets=f" {shown.form_target}",
        request_id=sign_in.id,
        short_code=short_code(sign_in.id),
        timestamp=int(now * 1000),
        expires_at=sign_in.expires_at,
        seconds=seconds,
        minutes=(seconds + 59) // 60,
        unit="minute" if seconds <= 60 else "minutes",
    )
    return page.with_headers(cookie)


def learns(scope: str) -> list[str]:
    """Returns what a website learns with these scopes, as people call it."""
    return [_LEARNS.get(word, word) for word in scope.split()]


@functools.lru_cache(MOST_REMEMBERED)
def _shown(pages: Pages, asked: _Asked) -> _Shown:
    """Renders the page of these sign-ins once, with holes for what is each one's own."""
    is_app = is_private_uri(asked.redirect_uri)

    def render(own: Values) -> str:
        return pages.render(
            "waiting.html",
            website=asked.website,
            verified_host=document_host(asked.client_id),
            resources=asked.resources,
            host=host_of(asked.redirect_uri),
            way_back=None if is_app else f"{return_origin(asked.redirect_uri)}/",
            asks_for=learns(asked.scope),
            for_agents=_for_agents(asked, own),
            **own,
        )

    mould = Mould(
        render,
        words=("nonce", "request_id", "short_code", "unit"),
        numbers=("timestamp", "expires_at", "seconds", "minutes"),
    )
    return _Shown(mould, form_target(asked.redirect_uri))


def _for_agents(asked: _Asked, own: Values) -> dict[str, Any]:
    """Returns what an agent that reads the page needs; nothing here is secret."""
    return {
        "type": "auth-agent-request",
        "request_id": own["request_id"],
        "issuer": asked.issuer,
        "website": asked.website,
        "redirect_uri": asked.redirect_uri,
        "scope": asked.scope,
        "expires_at": own["expires_at"],
        "look": f"{asked.issuer}/api/auth-requests/{own['request_id']}",
        "answer": f"{asked.issuer}/api/agent/authenticate",
        "mcp_tool": "sign_in_with_auth_agent",
    }


def form_target(redirect_uri: str) -> str:
    """Returns where a form may lead (CSP): the origin, or a scheme if a policy cannot write it."""
    origin = return_origin(redirect_uri)
    if "[" in origin or is_private_uri(redirect_uri):
        return f"{origin.partition(':')[0]}:"
    return origin
