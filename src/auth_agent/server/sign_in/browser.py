"""The browser's endpoints: the waiting page, what it polls, and the ways back to the website."""

from __future__ import annotations

import functools
import hmac
import re
from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.sign_in.opening import open_sign_in
from auth_agent.server.sign_in.parties import find_client, known_resources
from auth_agent.server.sign_in.request import check_request, validated_client
from auth_agent.server.sign_in.state import (
    bind_browser,
    deny,
    find_sign_in,
    is_trusted,
    status_of,
)
from auth_agent.server.sign_in.waiting import Waiting, waiting_page
from auth_agent.server.storage.audit import record
from auth_agent.server.web.call import (
    NO_STORE,
    Answer,
    Call,
    Headers,
    Refusal,
    cookie_name,
    json_answer,
    redirect,
)
from auth_agent.server.web.parameters import Parameters, from_body, from_query
from auth_agent.server.web.urls import with_parameters

LONGEST_QUERY = 8_192  # proxies and browsers take no longer addresses
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")


def authorize(context: Context, call: Call) -> Answer:
    """GET or POST /authorize: stores a pending sign-in and shows the page that waits for the agent.

    OpenID Connect Core section 3.1.2.1 demands both methods.
    """
    parameters = _parameters(call)
    if _is_without_cookies(context, call):
        query = [*parameters.items(), *(("resource", one) for one in parameters.resources[1:])]
        target = with_parameters(f"{context.settings.path}/authorize", query)
        if len(target) <= LONGEST_QUERY:
            return redirect(target)
    find = functools.partial(find_client, context, party=call.party)
    client, redirect_uri = validated_client(find, parameters)
    issuer, known = context.settings.issuer, functools.partial(known_resources, context)
    try:
        request = check_request(client, redirect_uri, parameters, issuer, known)
    except Refusal as refusal:
        if not client.is_trusted:
            raise
        state = None if "state" in parameters.duplicates else parameters.get("state")
        return _error_redirect(context, redirect_uri, refusal.error, refusal.description, state)
    browser, cookie = _browser(context, call)
    with context.database.begin() as connection:
        request_id = open_sign_in(
            context,
            connection,
            request,
            party=call.party,
            browser=browser,
            only_agent=client.agent_id,
        )
    audience = " ".join(request.audience)
    until = context.now() + context.settings.request_lifetime
    opened = Waiting(
        *(request_id, client.id, client.name, redirect_uri, audience),
        scope=request.scope,
        expires_at=until,
    )
    return waiting_page(context, opened, cookie)


def _parameters(call: Call) -> Parameters:
    """Returns what the query and a form hold; a parameter in both is there twice."""
    parameters = from_query(call.query)
    if call.method == "POST":
        form = from_body(call.content_type, call.body)
        if form.resources and parameters.resources:
            parameters.duplicates.add("resource")
        for name, value in form.items():
            if name != "resource":
                parameters.add(name, value)
        for resource in form.resources:
            parameters.add("resource", resource)
    return parameters


def _is_without_cookies(context: Context, call: Call) -> bool:
    """True for a form of another website, with which a browser sends no SameSite=Lax cookie.

    A new cookie would take the place of the one that other tabs rely on, so the browser is sent on
    with a GET, which brings the cookie.
    """
    return (
        call.method == "POST"
        and call.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        and call.cookie(_cookie_name(context)) is None
    )


def check_status(context: Context, call: Call) -> Answer:
    """GET /api/check-status: gives the code only to the browser that opened the sign-in."""
    parameters = from_query(call.query).refuse_duplicates()
    request_id = parameters.need("request_id")
    with context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None:
        if not context.limits.count("unknown_requests", call.party):
            raise context.limits.refusal("unknown_requests", call.party)
        return _status_error("request_not_found", "No such request")
    status = status_of(row, context.clock())
    if status == "denied":
        return _status_error("access_denied", "The request was cancelled")
    if status == "expired":
        return _status_error("request_expired", "The request has expired; start again")
    if status != "authenticated":
        # The waiting page asks whether its browser keeps cookies; the code could not reach it else.
        asks = {"is_known": _is_bound(context, call, row)} if parameters.get("page") else {}
        return json_answer({"status": status, **asks})
    anybody = row.upstream_compat or context.settings.upstream_compat
    code = context.codes.find(row.id, row.code_hash)
    if code is None or not (anybody or _is_bound(context, call, row)):
        return json_answer({"status": "completed"})
    found = {
        "status": "authenticated",
        "code": code,
        "state": row.state,
        "redirect_uri": row.redirect_uri,
        "iss": context.settings.issuer,
        "location": _success(context, row, code),
    }
    return json_answer(found)


def continue_sign_in(context: Context, call: Call) -> Answer:
    """GET /authorize/continue: the way on for a browser without JavaScript."""
    row = _own_sign_in(context, call, from_query(call.query).get("request_id", ""), 400)
    status = status_of(row, context.clock())
    if status == "pending":
        return waiting_page(context, row, ())
    if status == "denied":
        return _denied(context, row)
    code = context.codes.find(row.id, row.code_hash) if status == "authenticated" else None
    if code is None:
        text = "This sign-in is over. Go back to the website to start again."
        return context.pages.error("Nothing to wait for", text, 410)
    return redirect(_success(context, row, code))


def open_challenge(context: Context, call: Call) -> Answer:
    """GET /authorize/challenge: binds a sign-in that an agent opened to its first browser."""
    request_id = from_query(call.query).get("request_id", "")
    with context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None or status_of(row, context.clock()) != "pending":
        if row is None and not context.limits.count("unknown_requests", call.party):
            raise context.limits.refusal("unknown_requests", call.party)
        raise Refusal(404, "request_not_found", "There is no such request, or it is over")
    browser, cookie = _browser(context, call)
    with context.database.begin() as connection:
        bound = bind_browser(connection, row.id, digest(browser), context.now())
    if not bound and not _is_bound(context, call, row):
        text = "Another browser has opened this request before"
        raise Refusal(409, "invalid_request", text)
    return waiting_page(context, row, cookie)


def cancel(context: Context, call: Call) -> Answer:
    """POST /authorize/cancel: denies a sign-in, in the browser that opened it."""
    if call.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(400, "invalid_request", "This form was sent from another website")
    parameters = from_body(call.content_type, call.body)
    row = _own_sign_in(context, call, parameters.get("request_id", ""), 404)
    with context.database.begin() as connection:
        denied = deny(connection, row.id, context.now())
        if denied:
            record(
                connection,
                at=context.now(),
                kind="approval",
                outcome="denied",
                client_id=row.client_id,
                request_id=row.id,
                address=call.address,
            )
    if denied or row.denied_at is not None:
        return _denied(context, row)
    return redirect(f"{context.settings.path}/authorize/continue?request_id={row.id}")


def _browser(context: Context, call: Call) -> tuple[str, Headers]:
    """Returns the browser's mark, and the header that sets it if it had none."""
    name, secure = _cookie_name(context), "; Secure" if context.settings.is_https else ""
    known = call.cookie(name)
    if known is not None and _BROWSER.fullmatch(known):
        return known, ()
    fresh = new_token("")
    return fresh, (("set-cookie", f"{name}={fresh}; Path=/; HttpOnly; SameSite=Lax{secure}"),)


def _cookie_name(context: Context) -> str:
    return cookie_name("browser", is_https=context.settings.is_https)


def _is_bound(context: Context, call: Call, row: Any) -> bool:
    mark = call.cookie(_cookie_name(context)) or ""
    return row.browser_hash is not None and hmac.compare_digest(digest(mark), row.browser_hash)


def _own_sign_in(context: Context, call: Call, request_id: str, otherwise: int) -> Any:
    with context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None or not _is_bound(context, call, row):
        raise Refusal(otherwise, "invalid_request", "This browser has not started such a sign-in")
    return row


def _success(context: Context, row: Any, code: str) -> str:
    state = [] if row.state is None else [("state", row.state)]
    parameters = [("code", code), *state, ("iss", context.settings.issuer)]
    return with_parameters(row.redirect_uri, parameters)


def _denied(context: Context, row: Any) -> Answer:
    text = "The sign-in was cancelled in the browser"
    if not is_trusted(row):
        return context.pages.error("Sign-in cancelled", f"{text}. You can close this page.", 403)
    return _error_redirect(context, row.redirect_uri, "access_denied", text, row.state)


def _error_redirect(
    context: Context, redirect_uri: str, error: str, description: str, state: str | None
) -> Answer:
    """Returns an error to the website (RFC 6749 section 4.1.2.1, RFC 9207 section 2)."""
    parameters = [("error", error), ("error_description", description)]
    if state is not None:
        parameters.append(("state", state))
    parameters.append(("iss", context.settings.issuer))
    return redirect(with_parameters(redirect_uri, parameters))


def _status_error(error: str, description: str) -> Answer:
    body = {"status": "error", "error": error, "error_description": description}
    return json_answer(body, 200, NO_STORE)
