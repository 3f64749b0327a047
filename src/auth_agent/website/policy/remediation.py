"""The reply to an act that the owner has not approved: what to ask for, and where.

The refusal is that of draft-ietf-oauth-rar-metadata-remediation-00. A browser is led to
`approval_url`, whose ticket is encrypted: amounts do not stand in a URL.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from auth_agent.protocol.details import Act, canonical
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.url import safe_next
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.policy.scheme import INSUFFICIENT, NOT_APPROVED, challenge_of_act
from auth_agent.website.web.origin import is_navigation, own_referer, wants_page
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import Button, json_reply, page, redirect
from auth_agent.website.web.visit import Visit

TICKET_SECONDS = 900
_PURPOSE = "approval ticket"


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """The act that one agent wants to do, and the page that it comes back to."""

    made_at: int
    agent: str
    act: dict[str, Any]
    next: str


def remedy(visit: Visit, agent: Agent, act: Act, site: Site) -> Reply:
    """Leads a navigation to the owner; other requests get a 401 that says what to ask for."""
    settings = site.settings
    headers = (("WWW-Authenticate", challenge_of_act(visit, settings, _remediation(act))),)
    content: dict[str, Any] = {
        "error": INSUFFICIENT,
        "error_description": f"{NOT_APPROVED} Ask for these authorization_details with a pushed or "
        "a backchannel request (CIBA) at the issuer, and repeat this with the new token"
        + (", or open approval_url in the browser that is signed in." if settings.sign_in else "."),
        "authorization_details": [act],
        "issuer": settings.issuer,
        "resource": settings.expected_audience,
    }
    if not settings.sign_in:
        return json_reply(401, content, headers=headers)
    is_read = visit.method in ("GET", "HEAD")
    came_from = visit.target if is_read else own_referer(visit, settings.base_url)
    url = approval_url(agent, act, safe_next(came_from, prefix=settings.prefix), site)
    if is_read and is_navigation(visit):
        return redirect(url)
    if wants_page(visit):
        lost = "" if is_read else " What you sent was not done; send it again afterwards."
        return page(
            401,
            "Ask the owner",
            f"{NOT_APPROVED} {act['title']}.{lost}",
            site=settings,
            code=INSUFFICIENT,
            button=Button(url, "Ask the owner"),
            headers=headers,
        )
    return json_reply(401, {**content, "approval_url": url}, headers=headers)


def approval_url(agent: Agent, act: Act, next_path: str, site: Site) -> str:
    ticket = Ticket(int(site.clock()), agent.id, dict(act), next_path)
    sealed = site.seal.encrypt(_PURPOSE, msgspec.json.encode(ticket))
    return f"{site.settings.base_url}{site.settings.prefix}/approve?ticket={quote(sealed)}"


def read_ticket(text: str | None, site: Site) -> Ticket | None:
    """Returns the ticket; None for a foreign one, and for one that is too old."""
    sealed = site.seal.decrypt(_PURPOSE, text) if text else None
    if sealed is None:
        return None
    try:
        ticket = msgspec.json.decode(sealed.data, type=Ticket)
    except msgspec.MsgspecError:  # made by an older or newer release
        return None
    now = site.clock()
    return ticket if now - TICKET_SECONDS < ticket.made_at <= now + CLOCK_SKEW else None


def _remediation(act: Act) -> str:
    """Returns the object that clients ask with, as base64url without padding."""
    return encode(canonical({"authorization_details": [act]}).encode())
