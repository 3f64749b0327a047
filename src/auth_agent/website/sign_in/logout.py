"""Signing out: a POST from the site's own pages, which also notifies the server."""

from __future__ import annotations

from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, send
from auth_agent.protocol.revocation import revocation_request
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import Session, read_refresh_token


def revoke(session: Session, site: Site) -> Flow[bool]:
    """Revokes the session's refresh token; see `revoke_token`."""
    return (yield from revoke_token(read_refresh_token(session, site.seal), site))


def revoke_token(refresh_token: str | None, site: Site) -> Flow[bool]:
    """Returns True if the server revoked the token; sign-out succeeds even if it is unreachable."""
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
