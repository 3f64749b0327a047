"""Sessions of administrators and owners: their cookies, and the check that a form is ours.

A session is a random id of which only a digest is stored; each sign-in creates a new one. A form
carries a digest of its cookie: another website can make a browser send the cookie, but cannot read
it.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.server.context import Context
from auth_agent.server.registry.people.browser_sessions import ADMINISTRATOR
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.storage.tables.people import browser_session
from auth_agent.server.web.call import Call, Headers, Refusal, cookie_name
from auth_agent.server.web.parameters import Parameters, from_body
from auth_agent.server.web.urls import origin_of

TOUCH_EVERY = 60  # seconds


VISITOR = "visitor"
OWNER_MARK = "owner_mark"
MARKED_FOR = 365 * DAY


FORM_FIELD = "form_token"


_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


_FIND = select(
    browser_session.c.holder,
    browser_session.c.seen_at,
    browser_session.c.created_at,
    browser_session.c.how,
).where(
    browser_session.c.token_hash == bindparam("hash"),
    browser_session.c.kind == bindparam("kind"),
    browser_session.c.expires_at > bindparam("now"),
    browser_session.c.seen_at > bindparam("idle_since"),
)


_TOUCH = (
    update(browser_session)
    .where(
        browser_session.c.token_hash == bindparam("hash"),
        browser_session.c.seen_at < bindparam("now"),
    )
    .values(seen_at=bindparam("now"))
)


_END = delete(browser_session).where(browser_session.c.token_hash == bindparam("hash"))


class BrowserSession(Struct, frozen=True):
    """A signed-in browser; `holder` is an administrator's id or an owner's address.

    `how` the person signed in: mail, passkey or password.
    """

    token: Secret
    kind: str
    holder: str
    how: str = ""
    since: int = 0


def find_session(context: Context, call: Call, kind: str) -> BrowserSession | None:
    """Returns this browser's session, unless it is too old or was idle for too long."""
    token = call.cookie(_name(context, kind))
    if token is None or not _TOKEN.fullmatch(token):
        return None
    now = context.now()
    values = {
        "hash": digest(token),
        "kind": kind,
        "now": now,
        "idle_since": now - context.settings.session_idle,
    }
    with context.database.read() as connection:
        row = connection.execute(_FIND, values).one_or_none()
    if row is None:
        return None
    if now - row.seen_at >= TOUCH_EVERY:
        with context.database.begin() as connection:
            connection.execute(_TOUCH, {"hash": digest(token), "now": now})
    return BrowserSession(Secret(token), kind, row.holder, row.how, row.created_at)


def start_session(
    context: Context, connection: Connection, call: Call, kind: str, holder: str, *, how: str
) -> Headers:
    """Signs a browser in under a new id, whatever cookie it had before; returns the cookie."""
    end_session(context, connection, call, kind)
    token, now = new_token(""), context.now()
    row = {
        "token_hash": digest(token),
        "kind": kind,
        "holder": holder,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + context.settings.session_lifetime,
        "how": how,
    }
    connection.execute(insert(browser_session), row)
    return _cookie(context, kind, token)


def end_session(context: Context, connection: Connection, call: Call, kind: str) -> Headers:
    """Signs this browser out; returns the header that removes its cookie."""
    token = call.cookie(_name(context, kind))
    if token is not None:
        connection.execute(_END, {"hash": digest(token)})
    return _cookie(context, kind, "", "; Max-Age=0")


def visitor_mark(context: Context, call: Call) -> tuple[str, Headers]:
    """Returns a random mark for a signed-out browser, and the cookie if it had none."""
    known = call.cookie(_name(context, VISITOR))
    if known is not None and _TOKEN.fullmatch(known):
        return known, ()
    fresh = new_token("")
    return fresh, _cookie(context, VISITOR, fresh)


def known_mark(context: Context, call: Call) -> str | None:
    """Returns this browser's mark, or None."""
    known = call.cookie(_name(context, VISITOR))
    return known if known is not None and _TOKEN.fullmatch(known) else None


def owner_mark(context: Context, call: Call) -> str | None:
    """Returns the mark of a browser in which an owner once proved an address."""
    return call.cookie(_name(context, OWNER_MARK))


def mark_owner(context: Context, call: Call, email: str) -> Headers:
    """Returns the cookie that marks this browser: this address was proved in it."""
    mark = context.owner_marks.add(owner_mark(context, call), email)
    return _cookie(context, OWNER_MARK, mark, f"; Max-Age={MARKED_FOR}")


def form_token(cookie: str) -> str:
    """Returns the form's token, so that only a page made for this cookie can send the form."""
    return hmac.digest(cookie.encode(), b"auth-agent form", hashlib.sha256).hex()


def read_form(context: Context, call: Call, cookie: str | None) -> Parameters:
    """Returns the fields of a form that our page sent from this browser; else Refusal 403."""
    site = call.headers.get("sec-fetch-site")
    origin = call.headers.get("origin")
    if site is not None:
        if site != "same-origin":
            raise _foreign()
    # Our pages send no referrer, and browsers then send `Origin: null`: the token decides.
    elif origin not in (None, "null", origin_of(context.settings.issuer)):
        raise _foreign()
    if call.content_type.partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refusal(415, "invalid_request", "Send a form")
    parameters = from_body(call.content_type, call.body)
    shown = parameters.get(FORM_FIELD, "")
    if cookie is None or not hmac.compare_digest(shown.encode(), form_token(cookie).encode()):
        raise Refusal(403, "invalid_request", "This page has expired; open it again")
    return parameters


def _name(context: Context, kind: str) -> str:
    return cookie_name(kind, is_https=context.settings.is_https)


def _cookie(context: Context, kind: str, value: str, more: str = "") -> Headers:
    # An owner arrives from a mail program, which is another site; an administrator does not.
    same_site = "Strict" if kind == ADMINISTRATOR else "Lax"
    secure = "; Secure" if context.settings.is_https else ""
    attributes = f"Path=/; HttpOnly; SameSite={same_site}{secure}{more}"
    return (("set-cookie", f"{_name(context, kind)}={value}; {attributes}"),)


def _foreign() -> Refusal:
    return Refusal(403, "invalid_request", "This form was sent from another website")
