"""The browser's endpoints: what the waiting page polls, and the ways back to the website."""

from __future__ import annotations

from typing import Any

from auth_agent.server.approval.state import withdraw
from auth_agent.server.context import Context
from auth_agent.server.security.credentials import digest
from auth_agent.server.sign_in.browser.mark import is_bound, mark_of
from auth_agent.server.sign_in.browser.returning import (
    ENDINGS,
    ended,
    ending,
    error_url,
    onward,
    success_url,
)
from auth_agent.server.sign_in.browser.waiting import waiting_page
from auth_agent.server.sign_in.state import (
    bind_browser,
    deny,
    find_sign_in,
    is_trusted,
    is_waiting_for_owner,
    status_of,
)
from auth_agent.server.storage.audit import record
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer, redirect
from auth_agent.server.web.parameters import from_body, from_query


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
    if status in ENDINGS:
        error, text = ending(row, status)
        is_own = status == "denied" or row.question_id is not None
        if is_own and is_trusted(row) and is_bound(context, call, row):
            back = error_url(context, row.redirect_uri, error, text, row.state)
            return _status_error(error, text, location=back)
        return _status_error(error, text)
    if status != "authenticated":
        # The waiting page asks whether its browser keeps cookies; the code could not reach it else.
        left = max(0, row.expires_at - context.now())
        asks = {"is_known": is_bound(context, call, row), "expires_in": left}
        asks = asks if parameters.get("page") else {}
        waits = {"waiting_for": "owner"} if is_waiting_for_owner(row) else {}
        return json_answer({"status": status, **waits, **asks})
    anybody = row.upstream_compat or context.settings.upstream_compat
    code = context.codes.find(row.id, row.code_hash)
    if code is None or not (anybody or is_bound(context, call, row)):
        return json_answer({"status": "completed"})
    found = {
        "status": "authenticated",
        "code": code,
        "state": row.state,
        "redirect_uri": row.redirect_uri,
        "iss": context.settings.issuer,
        "location": success_url(context, row, code),
    }
    return json_answer(found)


def continue_sign_in(context: Context, call: Call) -> Answer:
    """GET /authorize/continue: the way on for a browser without JavaScript."""
    row = _own_sign_in(context, call, from_query(call.query).get("request_id", ""), 400)
    status = status_of(row, context.clock())
    if status == "pending":
        return waiting_page(context, row, ())
    if status in ENDINGS and (status == "denied" or row.question_id is not None):
        return ended(context, row, status)
    code = context.codes.find(row.id, row.code_hash) if status == "authenticated" else None
    if code is None:
        text = "This sign-in is over. Go back to the website to start again."
        return context.pages.error("No sign-in is waiting", text, 410)
    return redirect(success_url(context, row, code))


def open_challenge(context: Context, call: Call) -> Answer:
    """GET /authorize/challenge: binds a sign-in that an agent opened to its first browser."""
    request_id = from_query(call.query).get("request_id", "")
    with context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None or status_of(row, context.clock()) != "pending":
        if row is None and not context.limits.count("unknown_requests", call.party):
            raise context.limits.refusal("unknown_requests", call.party)
        raise Refusal(404, "request_not_found", "There is no such request, or it is over")
    browser, cookie = mark_of(context, call)
    with context.database.begin() as connection:
        bound = bind_browser(connection, row.id, digest(browser), context.now())
    if not bound and not is_bound(context, call, row):
        text = "Another browser has already opened this request"
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
            withdraw(connection, row.id, context.now())
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
        return ended(context, row, "denied")
    return redirect(onward(context, row))


def _own_sign_in(context: Context, call: Call, request_id: str, otherwise: int) -> Any:
    with context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None or not is_bound(context, call, row):
        raise Refusal(otherwise, "invalid_request", "This browser has not started this sign-in")
    return row


def _status_error(error: str, description: str, **more: str) -> Answer:
    body = {"status": "error", "error": error, "error_description": description, **more}
    return json_answer(body, 200, NO_STORE)
