"""The page that waits for the agent."""

from __future__ import annotations

from typing import Any, NamedTuple

from auth_agent.server.approval.questions import short_code
from auth_agent.server.context import Context
from auth_agent.server.registry.self_registered.documents import document_host
from auth_agent.server.sign_in.parties import resources_of
from auth_agent.server.web.call import Answer, Headers
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


# What a website learns with each scope, as people call it.
_LEARNS = {
    "openid": "which agent this is",
    "profile": "its name and model",
    "email": "its owner's e-mail address",
}


def waiting_page(context: Context, sign_in: Any, cookie: Headers) -> Answer:
    """Shows a pending sign-in (`Waiting`, or as `find_sign_in` reads it) to its browser."""
    is_app = is_private_uri(sign_in.redirect_uri)
    page = context.pages.page(
        "waiting.html",
        form_targets=f" {form_target(sign_in.redirect_uri)}",
        request_id=sign_in.id,
        timestamp=int(context.clock() * 1000),
        website=sign_in.client_name,
        verified_host=document_host(sign_in.client_id),
        resources=resources_of(context, sign_in),
        host=host_of(sign_in.redirect_uri),
        way_back=None if is_app else f"{return_origin(sign_in.redirect_uri)}/",
        asks_for=learns(sign_in.scope),
        seconds=max(0, int(sign_in.expires_at - context.clock())),
        short_code=short_code(sign_in.id),
        for_agents=_for_agents(context, sign_in),
    )
    return page.with_headers(cookie)


def learns(scope: str) -> list[str]:
    """Returns what a website learns with these scopes, as people call it."""
    return [_LEARNS.get(word, word) for word in scope.split()]


def _for_agents(context: Context, sign_in: Any) -> dict[str, Any]:
    """Returns what an agent that reads the page needs; nothing here is secret."""
    issuer = context.settings.issuer
    return {
        "type": "auth-agent-request",
        "request_id": sign_in.id,
        "issuer": issuer,
        "website": sign_in.client_name,
        "redirect_uri": sign_in.redirect_uri,
        "scope": sign_in.scope,
        "expires_at": sign_in.expires_at,
        "look": f"{issuer}/api/auth-requests/{sign_in.id}",
        "answer": f"{issuer}/api/agent/authenticate",
        "mcp_tool": "sign_in_with_auth_agent",
    }


def form_target(redirect_uri: str) -> str:
    """Returns where a form may lead (CSP): the origin, or a scheme if a policy cannot write it."""
    origin = return_origin(redirect_uri)
    if "[" in origin or is_private_uri(redirect_uri):
        return f"{origin.partition(':')[0]}:"
    return origin
