"""Back-channel logout: the server announces that an agent's sessions have ended."""

from __future__ import annotations

from urllib.parse import parse_qsl

from auth_agent.errors import AuthError, TokenRefused
from auth_agent.flow.effects import Flow, read_body
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.logout_token import (
    MAX_AGE,
    read_logout_token,
    verify_logout_token,
)
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import json_reply
from auth_agent.website.web.visit import Visit

MAX_BODY = 65_536


def refuse_without_store() -> Reply:
    """Refuses a logout that has no effect: a session in a cookie cannot be ended from here."""
    content = {
        "error": "not_implemented",
        "error_description": "This website keeps sessions in cookies; back-channel logout needs "
        "AUTH_AGENT_SESSION_STORE.",
    }
    return json_reply(501, content)


def end_sessions(visit: Visit, store: Store, site: Site) -> Flow[Reply]:
    """Ends the sessions (section 2.8): 200 once they are gone, 400 for an invalid token."""
    try:
        ended = yield from _end(visit, store, site)
    except AuthError as error:
        log_event("refused", cause=error.code, route="backchannel-logout")
        status = 503 if error.status_code == 503 else 400
        content = {"error": "invalid_request", "error_description": error.description}
        return json_reply(status, {**content, "cause": error.code})
    log_event("ended", cause="backchannel_logout", sessions=ended)
    return json_reply(200, {})


def _end(visit: Visit, store: Store, site: Site) -> Flow[int]:
    token = _read_form((yield from read_body(MAX_BODY)), visit)
    header = read_logout_token(token, allowed=site.settings.algorithms)
    yield from site.provider.check_advertised(header)
    key = yield from site.provider.key(header)
    logout = verify_logout_token(
        token,
        header,
        key,
        issuer=site.settings.issuer,
        client_id=site.settings.client_id,
        now=site.clock(),
    )
    kind, value = ("sid", logout.sid) if logout.sid is not None else ("agent", logout.sub or "")
    # In one step: if the store fails, the server can announce the logout again.
    ended = yield from store.end(kind, value, jti=logout.jti, seconds=MAX_AGE + 2 * CLOCK_SKEW)
    if ended < 0:
        raise TokenRefused("This logout token was used before (`jti`).", code="jti_replayed")
    return ended


def _read_form(body: bytes | None, visit: Visit) -> str:
    if body is None:
        raise TokenRefused("The body is too large or incomplete.", code="body_too_large")
    content_type = (visit.header("content-type") or "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise TokenRefused("The body is not a form.", code="body_not_a_form")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise TokenRefused("The body is not a form.", code="body_not_a_form") from None
    tokens = [value for name, value in pairs if name == "logout_token"]
    if len(tokens) != 1:
        raise TokenRefused("The form has to contain one logout_token.", code="logout_token_missing")
    return tokens[0]
