"""The page that waits for the agent."""

from __future__ import annotations

from typing import Any, NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.registry.client_documents import document_host
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


def waiting_page(context: Context, sign_in: Any, cookie: Headers) -> Answer:
    """Shows a pending sign-in (`Waiting`, or as `find_sign_in` reads it) to its browser."""
    page = context.pages.page(
        "waiting.html",
        form_targets=f" {_form_target(sign_in.redirect_uri)}",
        request_id=sign_in.id,
        timestamp=int(context.clock() * 1000),
        website=sign_in.client_name,
        verified_host=document_host(sign_in.client_id),
        resources=resources_of(context, sign_in),
        host=host_of(sign_in.redirect_uri),
    )
    return page.with_headers(cookie)


def _form_target(redirect_uri: str) -> str:
    """Returns where a form may lead (CSP): the origin, or a scheme if a policy cannot write it."""
    origin = return_origin(redirect_uri)
    if "[" in origin or is_private_uri(redirect_uri):
        return f"{origin.partition(':')[0]}:"
    return origin
