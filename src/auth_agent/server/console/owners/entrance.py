"""The entrance of the owners' pages: an address, and the code or link that is mailed to it."""

from __future__ import annotations

from typing import Any

from auth_agent.server.console.owners import proofs as owners
from auth_agent.server.console.owners.asking import Asked, ask_for_code
from auth_agent.server.console.owners.visit import after_sign_in, next_page, with_query
from auth_agent.server.console.passkeys import party_of, prove_sign_in, sign_in_options
from auth_agent.server.console.sessions import (
    form_token,
    known_mark,
    owner_mark,
    read_form,
    start_session,
    visitor_mark,
)
from auth_agent.server.context import Context
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.security.mailed_codes import clean_code
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.parameters import from_query

_NO_MAIL = Refusal(503, "unavailable", "This server sends no mail; ask its administrator")


def sign_in_page(context: Context, call: Call) -> Answer:
    """GET /owner/sign-in."""
    if not context.outbox.can_send and party_of(context) is None:
        raise _NO_MAIL
    following = next_page(from_query(call.query))
    return _form(context, call, "console_owner_sign_in.html", email="", following=following)


def ask(context: Context, call: Call) -> Answer:
    """POST /owner/sign-in: the same answer for every address."""
    email = following = ""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        email, following = form.get("email", "").strip(), next_page(form)
        if not context.outbox.can_send:
            raise _NO_MAIL
        asked = Asked(email, mark or "", call.party, owner_mark(context, call))
        proof = ask_for_code(context, asked)
    except Refusal as refusal:
        return _form(
            context,
            call,
            "console_owner_sign_in.html",
            refusal,
            email=email,
            following=following,
        )
    return redirect(context.settings.path + with_query("/owner/code", id=proof, next=following))


def code_page(context: Context, call: Call) -> Answer:
    """GET /owner/code?id=…: the form for the code."""
    query = from_query(call.query)
    proof, following = query.get("id", ""), next_page(query)
    return _form(context, call, "console_owner_code.html", proof=proof, following=following)


def enter_code(context: Context, call: Call) -> Answer:
    """POST /owner/code."""
    proof = following = ""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        proof, code = form.get("id", ""), clean_code(form.get("code", ""))
        following = next_page(form)
        if code is None:
            raise Refusal(400, "invalid_request", "The code has eight digits")  # noqa: TRY301
        cookie = owners.prove_by_code(context, call, proof, code, mark or "")
    except Refusal as refusal:
        return _form(
            context, call, "console_owner_code.html", refusal, proof=proof, following=following
        )
    return after_sign_in(context, following).with_headers(cookie)


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
    return after_sign_in(context, "").with_headers(cookie)


def use_passkey(context: Context, call: Call) -> Answer:
    """POST /owner/sign-in/passkey: signs the browser in with any of its owner's passkeys."""
    following = ""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        following = next_page(form)
        with context.database.begin() as connection:
            credential = form.get("credential", "")
            proof = prove_sign_in(context, connection, OWNER, mark or "", credential)
            email = proof.passkey.holder
            with acting(f"owner {email}", call.address):
                record(connection, at=context.now(), kind="owner sign-in", outcome="signed in")
            cookie = start_session(context, connection, call, OWNER, email, how="passkey")
    except Refusal as refusal:
        context.record_refusal(kind="owner sign-in", outcome="refused", address=call.address)
        return _form(
            context, call, "console_owner_sign_in.html", refusal, email="", following=following
        )
    return after_sign_in(context, following).with_headers(cookie)


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
        options=sign_in_options(context, OWNER, mark),
        can_mail=context.outbox.can_send,
        **values,
    )
    more = refusal.headers if refusal else ()
    return page.with_headers(cookie + more)
