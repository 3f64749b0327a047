"""The console's entrance: signing in and out, and the link of the first start."""

from __future__ import annotations

import functools

from auth_agent.secret import Secret
from auth_agent.server.console import passkeys
from auth_agent.server.console.passkeys import sign_in_options
from auth_agent.server.console.sessions import (
    end_session,
    form_token,
    known_mark,
    read_form,
    start_session,
    visitor_mark,
)
from auth_agent.server.console.visit import ConsoleVisit
from auth_agent.server.context import Context
from auth_agent.server.registry.people.administrators import (
    SHORTEST_PASSWORD,
    Account,
    AccountError,
    checked_name,
    clean_name,
    find_account,
    find_account_named,
    find_setup_link,
    hash_password,
    list_accounts,
    set_password,
    use_setup_link,
)
from auth_agent.server.registry.people.browser_sessions import ADMINISTRATOR
from auth_agent.server.registry.people.passkeys import list_passkeys
from auth_agent.server.security.guessing.attempts import Limit, attempt
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.pages.refusals import WayOn, page
from auth_agent.server.web.parameters import Parameters, from_query

_WRONG = Refusal(401, "invalid_credentials", "The name or the password is wrong")
_LINK_IS_OVER = Refusal(
    410,
    "invalid_request",
    "This link was used, was replaced or has expired; the server's operator can make a new one "
    "with: auth-agent admin create, or auth-agent admin link for a name that exists",
)
setup_refused = functools.partial(page, way_on=WayOn("/console/sign-in", "Sign in"))


def sign_in_page(context: Context, call: Call) -> Answer:
    """GET /console/sign-in."""
    return sign_in_form(context, call)


def sign_in(context: Context, call: Call) -> Answer:
    """POST /console/sign-in: the same answer in the same time for every kind of mistake."""
    name = ""
    try:
        form = read_form(context, call, known_mark(context, call))
        name, password = clean_name(form.get("name", ""))[:64], form.get("password", "")
        account = _authenticated(context, call, name, password)
        if account is None:
            raise _WRONG
    except Refusal as refusal:
        return sign_in_form(context, call, refusal, name)
    with acting(f"administrator {account.name}", call.address):
        return signed_in(context, call, account.id, "password")


def sign_out(visit: ConsoleVisit) -> Answer:
    """POST /console/sign-out."""
    with visit.context.database.begin() as connection:
        cookie = end_session(visit.context, connection, visit.call, ADMINISTRATOR)
    return visit.go("/sign-in").with_headers(cookie)


def setup_page(context: Context, call: Call) -> Answer:
    """GET /console/setup: the single-use link; opening the page does not use it up."""
    return _setup_form(context, call, from_query(call.query).get("token", ""))


def setup(context: Context, call: Call) -> Answer:
    """POST /console/setup: the administrator chooses a password and is signed in."""
    try:
        form = read_form(context, call, known_mark(context, call))
        token = form.get("token", "")
        with context.database.read() as connection:
            link = find_setup_link(connection, token, context.now())
        if link is None:
            context.record_refusal(kind="setup link", outcome="refused", address=call.address)
            raise _LINK_IS_OVER
        name = link.name or checked_name(form.get("name", ""))
        password_hash = _new_password(form)
        with acting(f"administrator {name}", call.address):
            with context.database.begin() as connection:
                account_id = use_setup_link(connection, link, name, password_hash, context.now())
            if account_id is None:
                raise _LINK_IS_OVER
            return signed_in(context, call, account_id, "password")
    except AccountError as error:
        return _setup_form(context, call, token, f"{error}.", form.get("name", ""))


def account_page(visit: ConsoleVisit) -> Answer:
    """GET /console/account: the administrator's own password and passkeys."""
    return _account(visit)


def change_password(visit: ConsoleVisit) -> Answer:
    """POST /console/account: needs the old password, and signs other browsers out."""
    context, form = visit.context, visit.form
    try:
        proven = _authenticated(context, visit.call, visit.account.name, form.get("old", ""))
        password_hash = _new_password(form, proven=proven is not None)
    except AccountError as error:
        return _account(visit, f"{error}.")
    with context.database.begin() as connection:
        set_password(connection, visit.account.id, password_hash, context.now())
        account_id = visit.account.id
        cookie = start_session(
            context, connection, visit.call, ADMINISTRATOR, account_id, how="password"
        )
    return visit.go("/account", done="password").with_headers(cookie)


def _account(visit: ConsoleVisit, problem: str = "") -> Answer:
    context, session, options, handle = visit.context, visit.session, "", ""
    with context.database.read() as connection:
        known = list_passkeys(connection, ADMINISTRATOR, visit.account.id)
    is_fresh = passkeys.is_fresh(context, session)
    if is_fresh and passkeys.party_of(context) is not None:
        options, handle = passkeys.new_options(context, session, known, visit.account.name)
    return visit.page(
        "console_account.html",
        400 if problem else 200,
        problem=problem,
        shortest=SHORTEST_PASSWORD,
        known=known,
        administrators=list_accounts(context.database),
        options=options,
        handle=handle,
        is_fresh=is_fresh,
        has_name=passkeys.party_of(context) is not None,
        local_name=passkeys.local_name(context),
    )


def _new_password(form: Parameters, *, proven: bool = True) -> str:
    if not proven:
        raise AccountError("The current password is wrong")
    if form.get("password", "") != form.get("again", ""):
        raise AccountError("The two new passwords are not the same")
    return hash_password(Secret(form.get("password", "")))


def _authenticated(context: Context, call: Call, name: str, password: str) -> Account | None:
    """Returns None if name or password are wrong; Refusal 429 after too many attempts.

    Failures count per name and network together, so that other networks cannot lock an
    administrator out, and per network alone, which stops one password tried on many names.
    """
    network, now = call.party, context.now()
    limits = (
        Limit(f"console {name} from {network}", 10, 300),
        Limit(f"console from {network}", 50, 300),
    )
    with context.database.begin() as connection:
        tried = attempt(connection, now, limits)
        account = find_account_named(connection, name)
    # The database is not held while bcrypt runs; an unknown name takes as long as a known one.
    stored = account.password_hash.reveal() if account else ""
    proven = context.verifier.verify(stored or None, password)
    with context.database.begin() as connection:
        if proven:
            tried.take_back(connection)
            # In case the administrator was removed or got another password while bcrypt ran.
            current = find_account(connection, account.id) if account else None
            return current if current == account else None
        record(
            connection,
            at=now,
            kind="console sign-in",
            outcome="refused",
            agent_id=account.id if account else None,
            address=call.address,
        )
    return None


def signed_in(context: Context, call: Call, account_id: str, how: str) -> Answer:
    with context.database.begin() as connection:
        cookie = start_session(context, connection, call, ADMINISTRATOR, account_id, how=how)
        record(
            connection,
            at=context.now(),
            kind="console sign-in",
            outcome="signed in",
            agent_id=account_id,
        )
    return redirect(f"{context.settings.path}/console").with_headers(cookie)


def sign_in_form(
    context: Context, call: Call, refusal: Refusal | None = None, name: str = ""
) -> Answer:
    status, more = (refusal.status, refusal.headers) if refusal else (200, ())
    mark, cookie = visitor_mark(context, call)
    form = context.pages.page(
        "console_sign_in.html",
        status,
        form_token=form_token(mark),
        problem=f"{refusal.description}." if refusal else "",
        name=name,
        options=sign_in_options(context, ADMINISTRATOR, mark),
    )
    return form.with_headers(cookie + more)


def _setup_form(
    context: Context, call: Call, token: str, problem: str = "", name: str = ""
) -> Answer:
    with context.database.read() as connection:
        link = find_setup_link(connection, token, context.now())
    if link is None:
        raise _LINK_IS_OVER
    mark, cookie = visitor_mark(context, call)
    form = context.pages.page(
        "console_setup.html",
        400 if problem else 200,
        form_token=form_token(mark),
        token=token,
        problem=problem,
        name=link.name or name,
        is_named=bool(link.name),
        shortest=SHORTEST_PASSWORD,
    )
    return form.with_headers(cookie)
