"""The session: a signed cookie, readable, small, and quick to check.

What must stay secret in it, the refresh token that lets us ask whether the agent is still welcome
and revoke at logout, is encrypted and bound to its session.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.jws import past
from auth_agent.protocol.token import Tokens
from auth_agent.secret import Discreet
from auth_agent.website.agent import Agent, agent_from, text_of
from auth_agent.website.config.seal import Seal
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event
from auth_agent.website.web.visit import Cookie, Visit

MAX_COOKIE = 4_000  # name and value; browsers take 4,096 bytes with the name

# What the owner has approved; without them an agent would be led to its owner again and again.
_OF_APPROVAL = ("acr", "authorization_details")
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class StoredTokens(Discreet, frozen=True):
    """The tokens of a session that is kept in a store, where all of it is encrypted."""

    access_token: str
    refresh_token: str | None
    expires_at: int

    def __repr__(self) -> str:
        return "StoredTokens(**********)"


class Session(Discreet, frozen=True, kw_only=True, omit_defaults=True):
    """One sign-in on one browser. Times are seconds since 1970."""

    id: str
    created_at: int
    seen_at: int
    agent: Agent
    sid: str | None = None
    """What the server calls this sign-in."""
    refresh_token: str | None = None
    """Encrypted; for a session that is kept in a cookie."""
    vouched: bool = False
    """True once introspection has called the refresh token active, so that its `false` counts."""
    tokens: StoredTokens | None = None
    accounts: str | None = None
    """Which accounts `agent.account_id` is an id of, if there is one."""

    def __repr__(self) -> str:
        return f"Session(agent={self.agent.id!r}, created_at={self.created_at})"


decode_session = msgspec.json.Decoder(Session).decode
"""Raises `msgspec.MsgspecError` for what another release has written."""


def open_session(claims: Mapping[str, Any], tokens: Tokens, site: Site) -> Session:
    """Returns a new session with a new id; nothing of an earlier session is kept."""
    session_id, now = encode(site.random(32)), int(site.clock())
    session = Session(
        id=session_id,
        created_at=now,
        seen_at=now,
        agent=_agent(claims, tokens, site.settings, now),
        sid=text_of(claims.get("sid")),
    )
    if site.settings.store_url is not None:
        kept = StoredTokens(tokens.access_token, tokens.refresh_token, now + tokens.expires_in)
        return msgspec.structs.replace(session, tokens=kept)
    if tokens.refresh_token is None:
        return session
    return seal_refresh_token(session, tokens.refresh_token, site.seal)


def is_of(session: Session, site: Site) -> bool:
    """Returns True if the session has no account, or one of the website's accounts of today."""
    return session.agent.account_id is None or session.accounts == site.hooks.accounts


def is_alive(session: Session, site: Site, now: float) -> bool:
    """Returns whether it is within both of its lifetimes, by the settings of today."""
    if not is_of(session, site):
        return False
    since, until = lifetime(session, site.settings)
    return since <= now < until


def due_at(session: Session, settings: Settings, now: float) -> float:
    """Returns the time when half of the idle lifetime has passed; for the future `now`."""
    if is_of_the_future(session, now):
        return now
    return session.seen_at + settings.session_idle / 2


def is_of_the_future(session: Session, now: float) -> bool:
    """Returns True if a clock that was ahead has written when the session was last used."""
    return session.seen_at > now + CLOCK_SKEW


def lifetime(session: Session, settings: Settings) -> tuple[float, float]:
    """Returns when the session begins and ends.

    A longer setting does not lengthen a session, because the store's lists forget it earlier.
    """
    return session.created_at - CLOCK_SKEW, min(
        session.agent.expires_at,
        session.created_at + settings.session_lifetime,
        session.seen_at + settings.session_idle,
    )


def read_session_id(visit: Visit, settings: Settings) -> str | None:
    """Returns the opaque id that a browser holds if sessions are kept in a store."""
    value = visit.cookie(cookie_name(settings))
    return value if value is not None and _SESSION_ID.fullmatch(value) else None


def read_refresh_token(session: Session, seal: Seal) -> str | None:
    if session.tokens is not None:
        return session.tokens.refresh_token
    if session.refresh_token is None:
        return None
    sealed = seal.decrypt("refresh token", session.refresh_token, bound_to=session.id)
    return sealed.data.decode() if sealed else None


def seal_refresh_token(session: Session, refresh_token: str, seal: Seal) -> Session:
    """Encrypts a refresh token with the newest secret, bound to its session."""
    sealed = seal.encrypt("refresh token", refresh_token.encode(), bound_to=session.id)
    return msgspec.structs.replace(session, refresh_token=sealed)


def session_cookie(session: Session, site: Site, name: str | None = None) -> Cookie:
    """Raises `ServerMisbehaved` if what the server says of the agent does not fit a cookie."""
    name = name or cookie_name(site.settings)
    left = session.created_at + site.settings.session_lifetime - int(site.clock())
    if session.tokens is not None:
        return Cookie(name, session.id, left, site.settings.secure)
    for content in (session, _without_claims(session, _OF_APPROVAL), _without_claims(session)):
        value = site.seal.sign(msgspec.json.encode(content))
        if len(name) + len(value) <= MAX_COOKIE:
            if content is not session:
                log_event(
                    "claims_dropped",
                    level=logging.WARNING,
                    agent=session.agent.id,
                    count=len(session.agent.claims),
                    size=len(msgspec.json.encode(session.agent.claims)),
                    limit=MAX_COOKIE,
                )
            return Cookie(name, value, left, site.settings.secure)
    raise ServerMisbehaved(
        "The data of this agent does not fit into a cookie of 4 KB: keep sessions in Redis "
        "(AUTH_AGENT_SESSION_STORE), or give the agent fewer permissions.",
        code="agent_too_large",
    )


def cleared_cookie(settings: Settings, name: str | None = None) -> Cookie:
    return Cookie(name or cookie_name(settings), "", 0, settings.secure)


def cookie_names(settings: Settings) -> tuple[str, str]:
    """Returns the two names that a session's cookie can have.

    A sign-in that replaces a session takes the other one, so that a late answer, which refreshes
    the cookie of the old session, does not overwrite the new one.
    """
    name = cookie_name(settings)
    return name, f"{name}_2"


def cookie_name(settings: Settings) -> str:
    """Returns a name of this website's own: cookies ignore ports, and `__Host-` ignores paths.

    `__Host-` keeps other hosts from setting it.
    """
    return _cookie_name(settings.client_id, settings.base_url, settings.prefix, settings.secure)


@lru_cache(maxsize=64)
def _cookie_name(client_id: str, base_url: str, prefix: str, secure: bool) -> str:
    whose = msgspec.json.encode([client_id, base_url, prefix])
    digest = encode(hashlib.sha256(whose).digest()[:6])
    return f"{'__Host-' if secure else ''}auth_agent_{digest}"


def _without_claims(session: Session, kept: tuple[str, ...] = ()) -> Session:
    claims = {name: value for name, value in session.agent.claims.items() if name in kept}
    agent = msgspec.structs.replace(session.agent, claims=claims)
    return msgspec.structs.replace(session, agent=agent)


def _agent(claims: Mapping[str, Any], tokens: Tokens, settings: Settings, now: int) -> Agent:
    signed_in_at = past(claims.get("auth_time"), now)
    return agent_from(
        claims,
        issuer=settings.issuer,
        client_id=settings.client_id,
        scopes=tuple(settings.scope.split()) if tokens.scopes is None else tokens.scopes,
        authenticated_at=now if signed_in_at is None else signed_in_at,
        expires_at=now + settings.session_lifetime,
        via="session",
    )
