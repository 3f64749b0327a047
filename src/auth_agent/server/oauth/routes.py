"""The addresses of OAuth: what websites call."""

from __future__ import annotations

from dataclasses import replace

from auth_agent.server.oauth import backchannel, end_session, endpoints, pushed
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.web.pages import refusals
from auth_agent.server.web.route import Route

_TOKEN = Route[OAuthServer]("POST", "/token", endpoints.token, cors="registered", is_quick=True)
_USERINFO = Route[OAuthServer](
    "GET", "/userinfo", endpoints.userinfo, cors="registered", is_quick=True
)

_END_SESSION = Route[OAuthServer](
    "GET", "/end-session", end_session.end_session, says_no=refusals.page
)

ROUTES: tuple[Route[OAuthServer], ...] = (
    _TOKEN,
    _USERINFO,
    replace(_USERINFO, method="POST"),
    Route("POST", "/par", pushed.push_request, cors="registered"),
    Route("POST", "/bc-authorize", backchannel.ask_owner),
    Route("POST", "/introspect", endpoints.introspect, is_quick=True),
    Route("POST", "/revoke", endpoints.revoke, cors="registered", is_quick=True),
    _END_SESSION,
    replace(_END_SESSION, method="POST"),
    Route("POST", "/end-session/confirm", end_session.confirm_end_session, says_no=refusals.page),
    # The older generation's addresses.
    replace(_TOKEN, path="/oauth2/token"),
    replace(_USERINFO, path="/oauth2/userinfo"),
    replace(_USERINFO, path="/oauth2/userinfo", method="POST"),
)
