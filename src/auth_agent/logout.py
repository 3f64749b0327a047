"""Signing out: a POST of this site's own pages, and the server is told."""

from __future__ import annotations

from auth_agent.errors import AuthError
from auth_agent.revocation import revocation_request
from auth_agent.session import Session, read_refresh_token
from auth_agent.settings import Settings
from auth_agent.site import Site
from auth_agent.url import normal_origin
from auth_agent.wire import Flow, Visit, send


def is_own_request(visit: Visit, settings: Settings) -> bool:
    """Whether this came from our own pages, or from no page at all (an agent, curl).

    Sec-Fetch-Site decides where it is present, because no page can forge it; else Origin.
    """
    site = visit.header("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = visit.header("origin")
    if origin is None:
        return True
    try:
        return normal_origin(origin) == settings.base_url
    except ValueError:
        return False


def revoke(session: Session, site: Site) -> Flow[bool]:
    """Whether the server took the refresh token back; a server that is away keeps nobody here."""
    refresh_token = read_refresh_token(session, site.seal)
    if refresh_token is None:
        return False
    try:
        metadata = yield from site.provider.metadata()
        request = revocation_request(refresh_token, site.credentials(metadata))
        if request is None:
            return False
        response = yield from send(request)
    except AuthError:
        return False
    return response.status == 200
