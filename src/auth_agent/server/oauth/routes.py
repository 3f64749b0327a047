"""The addresses of OAuth: what websites call."""

from __future__ import annotations

from dataclasses import replace

from auth_agent.server.oauth import endpoints
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.web.route import Route

_TOKEN = Route[OAuthServer]("POST", "/token", endpoints.token, cors="registered", is_quick=True)
_USERINFO = Route[OAuthServer](
    "GET", "/userinfo", endpoints.userinfo, cors="registered", is_quick=True
)

ROUTES: tuple[Route[OAuthServer], ...] = (
    _TOKEN,
    _USERINFO,
    replace(_USERINFO, method="POST"),
    Route("POST", "/introspect", endpoints.introspect, is_quick=True),
    Route("POST", "/revoke", endpoints.revoke, is_quick=True),
    # The older generation's addresses.
    replace(_TOKEN, path="/oauth2/token"),
    replace(_USERINFO, path="/oauth2/userinfo"),
    replace(_USERINFO, path="/oauth2/userinfo", method="POST"),
)
