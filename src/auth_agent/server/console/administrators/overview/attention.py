"""What needs an administrator: each matter in one sentence, with the page that shows more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Connection, func, select

from auth_agent.server.bounds import DAY
from auth_agent.server.console.log import SIGN_IN, is_website
from auth_agent.server.console.queries import uses_secret
from auth_agent.server.storage.tables.approvals import owner_question
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.people import admin_token
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import signing_key

FEW = 5  # rows of one sort; a list page has the others
OFTEN = 5  # refusals in a day, from which on an administrator should look
GUESSES = 10  # refused sign-ins to the console in a day
OLD_KEY = 365 * DAY
ENDS_SOON = 14 * DAY
_BY_WEBSITES = ("token", "introspection", "revocation", "pushed request", "backchannel request")


class Matter(NamedTuple):
    """One sentence, with the page and its link's text; `about` is a name from outside."""

    text: str
    path: str
    link: str
    about: str = ""
    is_urgent: bool = False


def read_attention(connection: Connection, now: int) -> list[Matter]:
    """Returns everything in the database that needs attention, urgent matters first."""
    found = [
        *_copied_tokens(connection, now),
        *_refused_agents(connection, now),
        *_refused_websites(connection, now),
        *_failed_logouts(connection, now),
        *_audit_counts(connection, now),
        *_expiring(connection, now),
        *_waiting_owners(connection, now),
        *_weak_registrations(connection),
    ]
    return sorted(found, key=lambda matter: not matter.is_urgent)


def _copied_tokens(connection: Connection, now: int) -> Iterator[Matter]:
    times = _count(connection, audit.c.kind == "reuse", audit.c.at > now - 7 * DAY)
    if times:
        text = f"{_times(times)} in 7 days a code or refresh token was used a second time: it may "
        text += "have been copied. The tokens of that sign-in are revoked."
        yield Matter(text, _link("audit", kind="reuse"), "See which", is_urgent=True)


def _refused_agents(connection: Connection, now: int) -> Iterator[Matter]:
    refused = _often(
        audit.c.agent_id,
        audit.c.kind.in_((SIGN_IN, "agent sign-in")),
        audit.c.outcome == "invalid_credentials",
        audit.c.at > now - DAY,
    )
    statement = select(refused, agent.c.display_name, agent.c.email, agent.c.disabled_at)
    joined = statement.join(agent, agent.c.id == refused.c.key)
    for row in connection.execute(joined.order_by(refused.c.times.desc()).limit(FEW)).all():
        text = f"refused {_times(row.times)} in 24 hours: "
        if row.disabled_at is None:
            text += "its secret or key is wrong, or an attacker guesses."
        else:
            text += "the agent is disabled and still tries to sign in."
        path = _link("sign-ins", agent=row.key, outcome="invalid_credentials")
        about = row.display_name or row.email
        yield Matter(text, path, "See the refusals", about, is_urgent=row.disabled_at is None)
    unknown = (
        select(func.coalesce(func.sum(refused.c.times), 0))
        .select_from(refused.outerjoin(agent, agent.c.id == refused.c.key))
        .where(agent.c.id.is_(None), refused.c.key != "")
    )
    if times := int(connection.execute(unknown).scalar_one()):
        text = f"{_times(times)} in 24 hours an agent that is not registered here was refused."
        yield Matter(text, _link("sign-ins", outcome="invalid_credentials"), "See the refusals")


def _refused_websites(connection: Connection, now: int) -> Iterator[Matter]:
    refused = _often(
        audit.c.client_id,
        audit.c.kind.in_(_BY_WEBSITES),
        audit.c.outcome == "refused",
        audit.c.at > now - DAY,
    )
    statement = select(refused, client.c.name).join(client, client.c.id == refused.c.key)
    statement = statement.where(is_website()).order_by(refused.c.times.desc()).limit(FEW)
    for row in connection.execute(statement).all():
        text = f"refused {_times(row.times)} in 24 hours: its secret or key is wrong, or its "
        text += "sign-ins are broken. Run auth-agent doctor there."
        path = _link("audit", website=row.key, outcome="refused")
        yield Matter(text, path, "See the refusals", row.name, is_urgent=True)


def _failed_logouts(connection: Connection, now: int) -> Iterator[Matter]:
    failed = _often(
        audit.c.client_id,
        audit.c.kind == "back-channel logout",
        audit.c.outcome == "failed",
        audit.c.at > now - DAY,
        often=1,
    )
    statement = select(failed, client.c.name).join(client, client.c.id == failed.c.key)
    for row in connection.execute(statement.order_by(failed.c.times.desc()).limit(FEW)).all():
        text = (
            "was not notified that a sign-in has ended: its back-channel logout URL does not work."
        )
        path = _link("audit", website=row.key, kind="back-channel logout")
        yield Matter(text, path, "See when", row.name, is_urgent=True)


def _audit_counts(connection: Connection, now: int) -> Iterator[Matter]:
    since = audit.c.at > now - DAY
    if times := _count(connection, audit.c.kind == "mail", since):
        text = (
            f"{_many(times, 'mail')} in 24 hours could not be sent. Owners are waiting for them: "
        )
        text += "check AUTH_AGENT_SERVER_SMTP_URL; the log names the cause."
        yield Matter(text, _link("audit", kind="mail"), "See when", is_urgent=True)
    refused = (audit.c.kind == "console sign-in", audit.c.outcome == "refused", since)
    if (times := _count(connection, *refused)) >= GUESSES:
        text = f"{_times(times)} in 24 hours a sign-in to this console was refused."
        path = _link("audit", kind="console sign-in", outcome="refused")
        yield Matter(text, path, "See from where", is_urgent=True)
    if _count(connection, audit.c.kind == "refusals", since):
        text = "Some refusals of the last 24 hours are not in the audit log: there were too many "
        text += "in one minute."
        yield Matter(text, _link("audit", kind="refusals"), "See when")


def _expiring(connection: Connection, now: int) -> Iterator[Matter]:
    newest = select(func.max(signing_key.c.created_at))
    made = connection.execute(newest.where(signing_key.c.published_until.is_(None))).scalar()
    if made is not None and made < now - OLD_KEY:
        text = f"The key that signs tokens is {(now - made) // DAY} days old."
        yield Matter(text, "/keys", "Make a new key")
    statement = (
        select(admin_token.c.name, admin_token.c.expires_at)
        .where(admin_token.c.revoked_at.is_(None), admin_token.c.expires_at > now)
        .where(admin_token.c.expires_at < now + ENDS_SOON)
        .order_by(admin_token.c.expires_at)
        .limit(FEW)
    )
    for row in connection.execute(statement).all():
        days = (row.expires_at - now) // DAY
        left = "today" if not days else f"in {_many(days, 'day')}"
        text = f"administration token that expires {left}."
        yield Matter(text, "/keys#tokens", "See the tokens", row.name)


def _waiting_owners(connection: Connection, now: int) -> Iterator[Matter]:
    is_open = (owner_question.c.answer.is_(None), owner_question.c.expires_at > now)
    if waiting := _rows(connection, owner_question, *is_open):
        text = f"{_many(waiting, 'question')} to owners without an answer yet."
        yield Matter(text, _link("audit", kind="owner question", outcome="asked"), "See which")
    unproved = (agent.c.email_verified.is_(False), agent.c.disabled_at.is_(None))
    if agents := _rows(connection, agent, *unproved):
        text = (
            f"{_many(agents, 'agent')} without a confirmed owner: the owner confirms the agent at "
        )
        text += "/owner, or you vouch for the address."
        yield Matter(text, _link("agents", state="unconfirmed"), "See which")


def _weak_registrations(connection: Connection) -> Iterator[Matter]:
    if times := _rows(connection, client, client.c.upstream_compat.is_(True), is_website()):
        text = (
            f"{_many(times, 'website')} in compatibility mode: anyone who knows a request ID can "
        )
        text += "read its code."
        yield Matter(text, _link("websites", state="compat"), "See which", is_urgent=True)
    if agents := _rows(connection, agent, uses_secret()):
        text = (
            f"{_many(agents, 'agent')} without a key: a secret leaks where it is sent, a private "
        )
        text += "key is never sent."
        yield Matter(text, _link("agents", state="secret"), "See which")


def _often(column: Any, *conditions: ColumnElement[bool], often: int = OFTEN) -> Any:
    """Counts by agent or website; SQLite would group by that index and read every row."""
    key, times = func.coalesce(column, "").label("key"), func.count()
    statement = select(key, times.label("times")).where(*conditions)
    return statement.group_by("key").having(times >= often).subquery()


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return _rows(connection, audit, *conditions)


def _rows(connection: Connection, table: Any, *conditions: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(table).where(*conditions)
    return int(connection.execute(statement).scalar_one())


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _link(page: str, **query: str) -> str:
    return f"/{page}?{urlencode(query)}"
