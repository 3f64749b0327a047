"""Renewing a session in use: the agent is re-checked, its tokens are refreshed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable, SignInRefused
from auth_agent.flow.effects import Flow, limited, send, sleep, spawn
from auth_agent.protocol.introspection import introspection_request, parse_introspection
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.metadata import Metadata
from auth_agent.protocol.token import Tokens, parse_tokens, refresh_request
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import (
    Session,
    StoredTokens,
    is_of_the_future,
    read_refresh_token,
    seal_refresh_token,
)
from auth_agent.website.recognition.store import LOCK_SECONDS, Store

EARLY_SECONDS = 10
RETRY_SECONDS = 30
WAIT_SECONDS = 0.05
MAX_WAITS = 400  # 20 seconds, the time that two exchanges may take
MAX_WRITES = 10
INSIST_SECONDS = 0.5
MAX_INSISTS = 50


def vouch(
    session: Session, refresh_token: str | None, metadata: Metadata, site: Site
) -> Flow[Session]:
    """Asks once, at the sign-in, whether the server can tell that a refresh token is active.

    RFC 7662 lets a server answer `false` for what it does not know, refresh tokens for example;
    such a server must not end good sessions.
    """
    if session.refresh_token is None or refresh_token is None:
        return session
    if not site.provider.has_vouched_for_refresh_tokens:
        try:
            active = yield from _is_active(refresh_token, metadata, site)
        except AuthError:
            active = None
        if not active:
            return session
    return msgspec.structs.replace(session, vouched=True)


def renew(session: Session, site: Site) -> Flow[Session | None]:
    """Returns a cookie's session for another idle lifetime; None if the server has ended it.

    A server that cannot be reached ends nothing, nor does one that has never called such a token
    active. A session whose refresh token was sealed with a secret that was removed ends, because
    the server could not be asked about it.
    """
    refresh_token = read_refresh_token(session, site.seal)
    renewed = _seen(session, int(site.clock()))
    if session.refresh_token is None:
        return renewed
    if refresh_token is None:
        return None
    renewed = seal_refresh_token(renewed, refresh_token, site.seal)
    try:
        metadata = yield from site.provider.metadata()
        active = yield from limited("session", lambda: _is_active(refresh_token, metadata, site))
    except AuthError:
        return renewed
    if active:
        return msgspec.structs.replace(renewed, vouched=True)
    counts = session.vouched or site.provider.has_vouched_for_refresh_tokens
    return None if active is False and counts else renewed


def _is_active(refresh_token: str, metadata: Metadata, site: Site) -> Flow[bool | None]:
    """Returns None if the server has no introspection."""
    request = introspection_request(refresh_token, "refresh_token", site.credentials(metadata))
    if request is None:
        return None
    active = parse_introspection((yield from send(request))) is not None
    if active:
        site.provider.has_vouched_for_refresh_tokens = True
    return active


def wants_keeping(session: Session, site: Site) -> bool:
    """Returns True if a stored session has to be written: tokens end soon, or old `seen_at`."""
    now = site.clock()
    is_old = now >= session.seen_at + min(60, site.settings.session_idle / 4)
    return is_old or is_of_the_future(session, now) or _is_stale(session, now)


def keep(session: Session, store: Store, site: Site) -> Flow[Session | None]:
    """Returns the session with the time of this visit and good tokens; None if it has ended."""
    now = site.clock()
    if _is_stale(session, now):
        return (yield from _refresh(session, store, site))
    return (yield from _write(session, store, lambda current: _seen(current, int(now))))


def _seen(session: Session, now: int) -> Session:
    return msgspec.structs.replace(session, seen_at=now)


def _write(
    session: Session, store: Store, change: Callable[[Session], Session]
) -> Flow[Session | None]:
    """Changes the stored session as it is now, so that concurrent writes are not lost."""
    changed: Session | None = None
    for _ in range(MAX_WRITES):
        stored = yield from store.fetch(session.id)
        if stored is None:
            return None
        changed = change(stored.session)
        if (yield from store.update(changed, stored)):
            break
    return changed


def _refresh(session: Session, store: Store, site: Site) -> Flow[Session | None]:
    """Makes one token call for all requests, tasks, threads and processes that need it."""
    token = encode(site.random(16))
    current: Session | None = session
    for _ in range(MAX_WAITS):
        if (yield from store.lock(session, token)):
            return (yield from _refresh_locked(session, token, store, site))
        yield from sleep(WAIT_SECONDS)
        current = yield from store.load(session.id)
        if current is None or not _is_stale(current, site.clock()):
            return current
    return current


def _refresh_locked(session: Session, token: str, store: Store, site: Site) -> Flow[Session | None]:
    current = yield from store.load(session.id)
    if current is None or not _is_stale(current, site.clock()):  # another request was quicker
        yield from store.unlock(session, token)
        return current
    refresh_token = read_refresh_token(current, site.seal) or ""
    try:
        metadata = yield from site.provider.metadata()
        if not (yield from store.lock(session, token)):  # that took too long: others go on
            return current
        request = refresh_request(refresh_token, site.credentials(metadata))
        response = yield from limited("session", lambda: send(request))
        tokens = parse_tokens(response, needs_id_token=False)
    except SignInRefused:  # the server has ended it: RFC 6749 5.2, invalid_grant
        yield from store.delete(current)
        yield from store.unlock(session, token)
        return None
    except AuthError:  # it cannot be asked; a good session stays good
        written = yield from _write(current, store, lambda now: _postponed(now, site.clock()))
        yield from store.unlock(session, token)
        return written
    until = site.clock() + LOCK_SECONDS

    def store_tokens() -> Flow[Session | None]:
        written = yield from _write(
            current, store, lambda now: _refreshed(now, tokens, site.clock())
        )
        yield from store.unlock(session, token)
        return written

    try:
        return (yield from store_tokens())
    except ServerUnavailable:  # the old refresh token is spent, the new one is only here
        key = ("store tokens", store, session.id)
        yield from spawn(key, lambda: _insist(store_tokens, until, site))
        return _refreshed(current, tokens, site.clock())


def _insist(write: Callable[[], Flow[object]], until: float, site: Site) -> Flow[None]:
    """Writes as soon as the store is back, within the time of the lock."""
    for _ in range(MAX_INSISTS):
        if site.clock() >= until:
            return
        yield from sleep(INSIST_SECONDS)
        try:
            yield from write()
        except ServerUnavailable:
            continue
        return


def _refreshed(session: Session, tokens: Tokens, now: float) -> Session:
    assert session.tokens is not None  # noqa: S101  # or it would not have been stale
    kept = StoredTokens(
        tokens.access_token,
        tokens.refresh_token or session.tokens.refresh_token,
        int(now) + tokens.expires_in,
    )
    agent = session.agent
    if tokens.scopes is not None:  # RFC 6749 6: there may be fewer of them now
        agent = msgspec.structs.replace(agent, scopes=tokens.scopes)
    return msgspec.structs.replace(session, agent=agent, tokens=kept, seen_at=int(now))


def _postponed(session: Session, now: float) -> Session:
    if not _is_stale(session, now) or session.tokens is None:
        return session
    kept = StoredTokens("", session.tokens.refresh_token, int(now) + RETRY_SECONDS)
    return msgspec.structs.replace(session, tokens=kept, seen_at=int(now))


def _is_stale(session: Session, now: float) -> bool:
    """Returns True if the access token is about to end and can be refreshed."""
    tokens = session.tokens
    if tokens is None or tokens.refresh_token is None:
        return False
    return now >= tokens.expires_at - EARLY_SECONDS
