"""The entrance of the owners' pages: an address, and the code or link that is mailed to it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from auth_agent.server.console.owners import proofs as owners
from auth_agent.server.console.owners.asking import Asked, ask_for_code
from auth_agent.server.console.sessions import (
    form_token,
    known_mark,
    owner_mark,
    read_form,
    visitor_mark,
)
from auth_agent.server.context import Context
from auth_agent.server.security.mailed_codes import clean_code
from auth_agent.server.web.call import Answer, Call, Headers, Refusal, redirect
from auth_agent.server.web.parameters import from_query

_NO_MAIL = Refusal(503, "unavailable", "This server sends no mail; ask its administrator")


def sign_in_page(context: Context, call: Call) -> Answer:
    """GET /owner/sign-in."""
    if not context.outbox.can_send:
        raise _NO_MAIL
    return _form(context, call, "console_owner_sign_in.html", email="")


def ask(context: Context, call: Call) -> Answer:
    """POST /owner/sign-in: the same answer for every address."""
    email = ""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        email = form.get("email", "").strip()
        if not context.outbox.can_send:
            raise _NO_MAIL
        asked = Asked(email, mark or "", call.party, owner_mark(context, call))
        proof = ask_for_code(context, asked)
    except Refusal as refusal:
        return _form(context, call, "console_owner_sign_in.html", refusal, email=email)
    return redirect(f"{context.settings.path}/owner/code?{urlencode({'id': proof})}")


def code_page(context: Context, call: Call) -> Answer:
    """GET /owner/code?id=…: the form for the code."""
    proof = from_query(call.query).get("id", "")
    return _form(context, call, "console_owner_code.html", proof=proof)


def enter_code(context: Context, call: Call) -> Answer:
    """POST /owner/code."""
    proof = ""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        proof, code = form.get("id", ""), clean_code(form.get("code", ""))
        if code is None:
            raise Refusal(400, "invalid_request", "The code has eight digits")  # noqa: TRY301
        cookie = owners.prove_by_code(context, call, proof, code, mark or "")
    except Refusal as refusal:
        return _form(context, call, "console_owner_code.html", refusal, proof=proof)
    return _entered(context, cookie)


def link_page(context: Context, call: Call) -> Answer:
    """GET /owner/link?token=…: one button; opening the page does not sign in."""
    token, mark = from_query(call.query).get("token", ""), known_mark(context, call)
    found = None
    if mark is not None:
        with context.database.read() as connection:
            found = owners.find_link(connection, token, mark, context.now())
    return _form(
        context,
        call,
        "console_owner_link.html",
        token=token,
        email="" if found is None else found.email,
    )


def use_link(context: Context, call: Call) -> Answer:
    """POST /owner/link."""
    mark = known_mark(context, call)
    form = read_form(context, call, mark)
    cookie = owners.prove_by_link(context, call, form.get("token", ""), mark or "")
    return _entered(context, cookie)


def _form(
    context: Context, call: Call, name: str, refusal: Refusal | None = None, **values: Any
) -> Answer:
    """Returns a page for a signed-out browser, with a mark in a cookie if it has none."""
    mark, cookie = visitor_mark(context, call)
    page = context.pages.page(
        name,
        refusal.status if refusal else 200,
        form_token=form_token(mark),
        problem=f"{refusal.description}." if refusal else "",
        **values,
    )
    more = refusal.headers if refusal else ()
    return page.with_headers(cookie + more)


def _entered(context: Context, cookie: Headers) -> Answer:
    return redirect(f"{context.settings.path}/owner").with_headers(cookie)
