"""Signing out: a POST of this site's own pages, and the server is told."""

from __future__ import annotations

from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, send
from auth_agent.protocol.revocation import revocation_request
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import Session, read_refresh_token


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
