"""The addresses of a sign-in: what the browser and the agent call."""

from __future__ import annotations

from dataclasses import replace

from auth_agent.server.context import Context
from auth_agent.server.sign_in.agent import endpoints as agent
from auth_agent.server.sign_in.agent.opening import agent_auth
from auth_agent.server.sign_in.authorization.endpoint import authorize
from auth_agent.server.sign_in.browser import endpoints as browser
from auth_agent.server.web.pages.refusals import sign_in_page
from auth_agent.server.web.route import Route

_AUTHORIZE = Route[Context](
    "GET",
    "/authorize",
    authorize,
    is_quick=True,
    says_no=sign_in_page,
    head=False,  # link checkers send HEAD: it must not open a sign-in
)

ROUTES: tuple[Route[Context], ...] = (
    _AUTHORIZE,
    replace(_AUTHORIZE, method="POST"),
    # The older generation's address.
    replace(_AUTHORIZE, path="/oauth2/authorize"),
    replace(_AUTHORIZE, path="/oauth2/authorize", method="POST"),
    Route("GET", "/api/check-status", browser.check_status, is_quick=True),
    Route(
        "GET",
        "/authorize/continue",
        browser.continue_sign_in,
        is_quick=True,
        says_no=sign_in_page,
    ),
    Route("POST", "/authorize/cancel", browser.cancel, says_no=sign_in_page),
    Route(
        "GET",
        "/authorize/challenge",
        browser.open_challenge,
        says_no=sign_in_page,
        head=False,  # nor claim one for its browser
    ),
    Route(
        "POST",
        "/api/agent/authenticate",
        agent.authenticate,
        is_quick=True,
        says_no=agent.agent_json,
    ),
    Route("POST", "/api/agent/verify-2fa", agent.verify_second_factor, says_no=agent.agent_json),
    Route("GET", "/api/auth-requests/{request_id}", agent.describe_request, is_quick=True),
    Route("POST", "/api/agent-auth", agent_auth),
)
