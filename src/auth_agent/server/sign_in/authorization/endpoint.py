"""The authorization endpoint: stores a pending sign-in and shows the page that waits."""

from __future__ import annotations

import functools
from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.sign_in.authorization import pushed
from auth_agent.server.sign_in.authorization.opening import open_sign_in
from auth_agent.server.sign_in.authorization.request import (
    AuthorizationRequest,
    check_request,
    validated_client,
)
from auth_agent.server.sign_in.browser.mark import is_bound, mark_cookie, mark_of
from auth_agent.server.sign_in.browser.returning import error_redirect
from auth_agent.server.sign_in.browser.waiting import Waiting, waiting_page
from auth_agent.server.sign_in.parties import find_client, known_resources
from auth_agent.server.sign_in.state import find_sign_in, status_of
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.parameters import Parameters, from_body, from_query
from auth_agent.server.web.urls import with_parameters

LONGEST_QUERY = 8_192  # proxies and browsers take no longer addresses


def authorize(context: Context, call: Call) -> Answer:
    """GET or POST /authorize: opens a sign-in from its parameters or from a pushed request.

    OpenID Connect Core section 3.1.2.1 demands both methods.
    """
    parameters = _parameters(call)
    # What is refused as given twice must not pass as given once behind a redirect.
    if not parameters.duplicates and _is_without_cookies(context, call):
        query = [*parameters.items(), *(("resource", one) for one in parameters.resources[1:])]
        target = with_parameters(f"{context.settings.path}/authorize", query)
        if len(target) <= LONGEST_QUERY:
            return redirect(target)
    if pushed.is_pushed(parameters):
        return _authorize_pushed(context, call, parameters)
    return _authorize(context, call, parameters)


def _authorize(
    context: Context, call: Call, parameters: Parameters, pushed_row: Any = None
) -> Answer:
    find = functools.partial(find_client, context, party=call.party)
    client, redirect_uri = validated_client(find, parameters)
    issuer, known = context.settings.issuer, functools.partial(known_resources, context)
    types = context.settings.authorization_details_types
    try:
        request = check_request(
            client, redirect_uri, parameters, issuer, known, details_types=types
        )
    except Refusal as refusal:
        if not client.is_trusted:
            raise
        state = None if "state" in parameters.duplicates else parameters.get("state")
        return error_redirect(context, redirect_uri, refusal.error, refusal.description, state)
    return _open(context, call, request, pushed_row)


def _open(context: Context, call: Call, request: AuthorizationRequest, pushed_row: Any) -> Answer:
    browser, cookie = mark_of(context, call)
    client = request.client
    with context.database.begin() as connection:
        request_id = open_sign_in(
            context,
            connection,
            request,
            party=call.party,
            browser=browser,
            only_agent=client.agent_id,
        )
        if pushed_row is not None and not pushed.use_pushed(
            connection, pushed_row, request_id, context.now()
        ):
            raise _spent()
    audience = " ".join(request.audience)
    until = context.now() + context.settings.request_lifetime
    opened = Waiting(
        *(request_id, client.id, client.name, request.redirect_uri, audience),
        scope=request.scope,
        expires_at=until,
    )
    return waiting_page(context, opened, cookie)


def _authorize_pushed(context: Context, call: Call, parameters: Parameters) -> Answer:
    """Takes all parameters from what was pushed (RFC 9126 4); a mistake is shown, not sent.

    A reload shows the sign-in again in the browser that opened it.
    """
    or_wait()  # a rare path, with more statements than the event loop should run
    if parameters.duplicates & {"client_id", "request_uri"}:
        raise Refusal(400, "invalid_request", "A parameter is given more than once")
    client_id = parameters.need("client_id")
    with context.database.read() as connection:
        row = pushed.find_pushed(connection, parameters["request_uri"], client_id)
        opened = find_sign_in(connection, row.request_id) if row and row.request_id else None
    if row is None:
        if not context.limits.count("unknown_requests", call.party):
            raise context.limits.refusal("unknown_requests", call.party)
        raise _spent()
    if row.request_id is not None:
        return _reopen(context, call, opened)
    if row.expires_at <= context.now():
        raise _spent()
    return _authorize(context, call, pushed.read_pushed(row), row)


def _reopen(context: Context, call: Call, sign_in: Any) -> Answer:
    if sign_in is None or not is_bound(context, call, sign_in):
        raise _spent()
    if status_of(sign_in, context.clock()) == "pending":
        return waiting_page(context, sign_in, ())
    return redirect(f"{context.settings.path}/authorize/continue?request_id={sign_in.id}")


def _spent() -> Refusal:
    text = "This request has expired or was opened before. Go back to the website to start again"
    return Refusal(400, "invalid_request_uri", text)


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
    """Returns True for another website's form, with which a browser sends no Lax cookie.

    A new cookie would take the place of the one that other tabs rely on, so the browser is sent on
    with a GET, which brings the cookie.
    """
    return (
        call.method == "POST"
        and call.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        and call.cookie(mark_cookie(context)) is None
    )
