"""Sessions in cookies: verified once, and known again at the next requests."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.flow.effects import Flow, join
from auth_agent.flow.kept import Guard
from auth_agent.secret import Discreet
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event
from auth_agent.website.recognition.renewal import renew
from auth_agent.website.recognition.session import (
    MAX_COOKIE,
    Session,
    cleared_cookie,
    cookie_names,
    decode_session,
    due_at,
    is_of,
    lifetime,
    session_cookie,
)
from auth_agent.website.recognition.tombstones import (
    free_name,
    is_ended,
    tombstone,
    tombstone_name,
)
from auth_agent.website.web.outcome import NOBODY, Recognised
from auth_agent.website.web.visit import Cookie, Visit, find_cookie

MAX_REMEMBERED = 1_024


class Known(Discreet, frozen=True):
    """A session that was verified, and its times; many requests share it."""

    session: Session
    since: float
    until: float
    due_at: float
    """When to re-check the agent and refresh the cookie; never after `until`."""
    recognised: Recognised
    name: str
    """Of the cookie."""

    def __repr__(self) -> str:
        return f"Known({self.session!r})"


class CookieSessions:
    """The sessions of a website without a store.

    Remembers the `Cookie` headers that it has verified. Refused ones are not remembered, so that
    garbage crowds out nothing. A sign-out empties the memory.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._clock = site.clock
        self._verified: dict[str | bytes | None, Known] = {}
        self._lock = Guard()
        self.recall: Callable[[str | bytes | None], Known | None] = self._verified.get
        """The session of a visit's `cookie_key` when it was verified; compare its times."""

    def recognise(self, visit: Visit) -> Recognised | Flow[Recognised]:
        """Returns at once unless the agent has to be re-checked; runs for every request."""
        key = visit.cookie_key
        if key is None:
            return NOBODY
        now, known = self._clock(), self.recall(key)
        if known is None or now < known.since or now >= known.due_at:
            known = self.read(visit, now)
            if known is None:
                return self._ended(visit)
            if now >= known.due_at:
                return self._renew(known)
        return known.recognised

    def recheck(self, visit: Visit) -> Flow[Recognised]:
        """Asks the server after the agent, although the cookie may not be due."""
        known = self.read(visit, self._clock())
        return NOBODY if known is None else (yield from self._renew(known))

    def read(self, visit: Visit, now: float) -> Known | None:
        """Returns the session of this visit; any other cookie counts as absent."""
        header = visit.cookie_header
        if header is None or "auth_agent" not in header:
            return None
        known = self.recall(visit.cookie_key) or self._verify(visit, header)
        return known if known is not None and known.since <= now < known.until else None

    def count_ends(self) -> Flow[int]:
        """Returns 0: nothing ends a session from outside."""
        return 0
        yield  # a flow, as with a store

    def reserve(self, session: Session, _since: int) -> Flow[None]:
        """Raises `ServerMisbehaved` if the session is too large for a cookie."""
        agent = msgspec.structs.replace(session.agent, claims={})  # those that do not fit go
        session_cookie(msgspec.structs.replace(session, agent=agent), self._site)
        return
        yield

    def withdraw(self, _session: Session) -> Flow[None]:
        """Does nothing: no browser has the cookie."""
        return
        yield

    def open(self, visit: Visit, session: Session) -> Flow[tuple[Cookie, ...]]:
        """Returns the cookies of a new session, which replaces that of the visit.

        Raises `ServerMisbehaved` if the session is too large for a cookie.
        """
        settings = self._site.settings
        old = self.read(visit, self._clock())
        marks = visit.cookie(tombstone_name(settings))
        name = free_name(old.name if old is not None else None, marks, settings)
        cookie = session_cookie(session, self._site, name)
        return (cookie,) if old is None else (cookie, *self._closing(visit, old))
        yield

    def close(self, visit: Visit) -> Flow[tuple[Session | None, tuple[Cookie, ...]]]:
        """Ends the session of a visit; returns it, and the cookies that say so."""
        settings = self._site.settings
        known = self.read(visit, self._clock())
        if known is None:
            return None, tuple(cleared_cookie(settings, name) for name in cookie_names(settings))
        return known.session, self._closing(visit, known)
        yield

    def _closing(self, visit: Visit, known: Known) -> tuple[Cookie, ...]:
        with self._lock:
            self._verified.clear()
        settings = self._site.settings
        marks = visit.cookie(tombstone_name(settings))
        ended = tombstone(known.session, known.name, marks, settings)
        return cleared_cookie(settings, known.name), ended

    def end(self, _kind: str, _value: str = "") -> Flow[int]:
        """Raises `SettingsError`: a session in a cookie cannot be reached."""
        raise SettingsError(["AUTH_AGENT_SESSION_STORE must be redis://… to end sessions"])
        yield

    def _verify(self, visit: Visit, header: str) -> Known | None:
        settings = self._site.settings
        marks = find_cookie(header, tombstone_name(settings))
        for name in cookie_names(settings):
            session = self._decode(find_cookie(header, name))
            if session is not None and not is_ended(session, marks):
                since, until = lifetime(session, settings)
                due = min(until, due_at(session, settings, self._clock()))
                found = Recognised(session.agent)
                # As floats they are compared with the clock the quickest.
                known = Known(session, float(since), float(until), float(due), found, name)
                return self._remember(visit, known)
        return None

    def _decode(self, value: str | None) -> Session | None:
        if value is None or len(value) > MAX_COOKIE:
            return None
        data = self._site.seal.unsign(value)
        if data is None:
            return None
        try:
            session = decode_session(data)
        except msgspec.MsgspecError:  # signed by an older or newer release
            return None
        return session if is_of(session, self._site) else None

    def _ended(self, visit: Visit) -> Recognised:
        """Clears sessions that a late answer has set again after their end."""
        settings = self._site.settings
        marks = visit.cookie(tombstone_name(settings))
        if marks is None:
            return NOBODY
        found = {name: self._decode(visit.cookie(name)) for name in cookie_names(settings)}
        ended = [name for name, session in found.items() if session and is_ended(session, marks)]
        return Recognised(None, tuple(cleared_cookie(settings, name) for name in ended))

    def _remember(self, visit: Visit, known: Known) -> Known:
        """Replaces the oldest entry if there are too many."""
        with self._lock:
            if len(self._verified) >= MAX_REMEMBERED:
                self._verified.pop(next(iter(self._verified)), None)
            self._verified[visit.cookie_key] = known
        return known

    def _renew(self, known: Known) -> Flow[Recognised]:
        """Asks once for all requests with the same session that are under way."""
        session = known.session
        key = ("renew", self, session.id)
        renewed = yield from join(key, lambda: renew(session, self._site))
        if renewed is None:
            log_event("ended", agent=session.agent.id, cause="token_inactive")
            return Recognised(None, (cleared_cookie(self._site.settings, known.name),))
        return Recognised(renewed.agent, (session_cookie(renewed, self._site, known.name),))
