"""Signing out at the server (OpenID Connect RP-Initiated Logout 1.0).

The website shows the ID token of the sign-in that is to end; the agent's browser confirms it, and
goes back to an address that the website has registered for this.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.registry.client import Client
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.tokens.endings import end_grant
from auth_agent.server.tokens.signed import read_id_token
from auth_agent.server.web.call import (
    Answer,
    Call,
    Headers,
    Refusal,
    cookie_name,
    redirect,
)
from auth_agent.server.web.parameters import Parameters, from_body, from_query
from auth_agent.server.web.urls import (
    is_private_uri,
    origin_of,
    return_origin,
    with_parameters,
)

_FIELDS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")
_MARK = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST_STATE = 2_048


class _SignOut(NamedTuple):
    """A request that was checked: what is to end, and where the browser goes then."""

    client: Client | None
    agent_id: str
    family_id: str
    target: str
    fields: dict[str, str]


def end_session(oauth: OAuthServer, call: Call) -> Answer:
    """GET or POST /end-session: asks the browser whether the sign-in is to end."""
    context = oauth.context
    parameters = from_query(call.query)
    if call.method == "POST":
        parameters = from_body(call.content_type, call.body)
    sign_out = _checked(context, parameters)
    mark, cookie = _mark(context, call)
    page = context.pages.page(
        "end_session.html",
        form_targets=_form_target(sign_out),
        website="" if sign_out.client is None else sign_out.client.name,
        agent_id=sign_out.agent_id,
        fields=sign_out.fields,
        token=_token(mark),
    )
    return page.with_headers(cookie)


def confirm_end_session(oauth: OAuthServer, call: Call) -> Answer:
    """POST /end-session/confirm: ends the sign-in; only the page of this server sends this form."""
    context = oauth.context
    if call.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(400, "invalid_request", "This form was sent from another website")
    parameters = from_body(call.content_type, call.body)
    expected = _token(call.cookie(_cookie_name(context)) or "").encode()
    if not expected or not hmac.compare_digest(expected, parameters.get("token", "").encode()):
        raise Refusal(
            400, "invalid_request", ("This form does not come from a page that this browser opened")
        )
    sign_out = _checked(context, parameters)
    if sign_out.family_id:
        end_grant(context.database, sign_out.family_id, context.now(), of=sign_out.agent_id)
    if sign_out.target:
        return redirect(sign_out.target)
    return context.pages.page(
        "error.html", title="Signed out", text="The sign-in has ended. You can close this page."
    )


def _checked(context: Context, parameters: Parameters) -> _SignOut:
    """Refuses what no client here has asked for; that is shown, never redirected."""
    if parameters.duplicates:
        raise _refused("A parameter is given more than once")
    claims: dict[str, str] = {}
    if hint := parameters.get("id_token_hint"):
        found = read_id_token(hint, context.keyring.current(), context.settings.issuer)
        if found is None:
            raise _refused("id_token_hint is not an ID token of this server, or has expired")
        claims = found
    named = parameters.get("client_id", claims.get("aud", ""))
    if claims and named != claims["aud"]:
        raise _refused("client_id and id_token_hint belong to different websites")
    client = context.clients.find(named) if named else None
    if named and client is None:
        raise _refused("No website with this client_id is registered here")
    fields = {name: parameters[name] for name in _FIELDS if name in parameters}
    target = _target(client, parameters)
    return _SignOut(client, claims.get("sub", ""), claims.get("sid", ""), target, fields)


def _target(client: Client | None, parameters: Parameters) -> str:
    """Returns a registered address, compared exactly (section 3), or nothing."""
    uri, state = parameters.get("post_logout_redirect_uri"), parameters.get("state")
    if len(state or "") > _LONGEST_STATE:
        raise _refused("state is too long")
    if uri is None:
        return ""
    if client is None:
        raise _refused("post_logout_redirect_uri needs id_token_hint or client_id")
    if not client.is_trusted or not client.check_post_logout_uri(uri):
        raise _refused("The website has not registered this post_logout_redirect_uri")
    return uri if state is None else with_parameters(uri, [("state", state)])


def _form_target(sign_out: _SignOut) -> str:
    if not sign_out.target:
        return ""
    if is_private_uri(sign_out.target) or "[" in origin_of(sign_out.target):
        return f" {sign_out.target.partition(':')[0]}:"
    return f" {return_origin(sign_out.target)}"


def _mark(context: Context, call: Call) -> tuple[str, Headers]:
    """Returns what binds the page's form to this browser, and the header that sets it."""
    name, secure = _cookie_name(context), "; Secure" if context.settings.is_https else ""
    known = call.cookie(name)
    if known is not None and _MARK.fullmatch(known):
        return known, ()
    fresh = new_token("")
    return fresh, (("set-cookie", f"{name}={fresh}; Path=/; HttpOnly; SameSite=Lax{secure}"),)


def _cookie_name(context: Context) -> str:
    return cookie_name("sign_out", is_https=context.settings.is_https)


def _token(mark: str) -> str:
    return digest(f"end-session\0{mark}") if _MARK.fullmatch(mark) else ""


def _refused(description: str) -> Refusal:
    return Refusal(400, "invalid_request", description)
