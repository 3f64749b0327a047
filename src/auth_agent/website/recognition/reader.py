"""Knowing a session again: what a cookie held when it was verified, for the next requests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from auth_agent.secret import Discreet
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import (
    MAX_COOKIE,
    Session,
    cookie_name,
    decode_session,
    due_at,
    lifetime,
    tombstone_name,
)
from auth_agent.website.web.outcome import Pass
from auth_agent.website.web.visit import Visit, find_cookie

REMEMBERED = 1_024


class Known(Discreet, frozen=True):
    """A session that was verified, and its times; many requests share it."""

    session: Session
    since: float
    until: float
    due_at: float
    """When to ask after the agent and to write the session anew; never after `until`."""
    passed: Pass
    """What a website without rules of its own makes of it."""

    def __repr__(self) -> str:
        return f"Known({self.session!r})"


class SessionReader:
    """Reads sessions from cookies and remembers the `Cookie` headers that it has verified.

    What it refused is not remembered, so garbage crowds out nothing; a logout makes it forget.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._verified: dict[str | bytes | None, Known] = {}
        self._lock = threading.Lock()
        self.recall: Callable[[str | bytes | None], Known | None] = self._verified.get
        """What a visit's `cookie_key` held when it was verified; look at its times."""

    def read(self, visit: Visit, now: float) -> Known | None:
        """The session that this request carries; anything else is as if it were not there."""
        header = visit.cookie_header
        if header is None or "auth_agent" not in header:
            return None
        known = self.recall(visit.cookie_key) or self._verify(visit, header)
        return known if known is not None and known.since <= now < known.until else None

    def forget(self) -> None:
        with self._lock:
            self._verified.clear()

    def _verify(self, visit: Visit, header: str) -> Known | None:
        settings = self._site.settings
        value = find_cookie(header, cookie_name(settings))
        if value is None or len(value) > MAX_COOKIE:
            return None
        data = self._site.seal.unsign(value)
        if data is None:
            return None
        try:
            session = decode_session(data)
        except msgspec.MsgspecError:  # signed by an older or newer release
            return None
        if find_cookie(header, tombstone_name(settings)) == session.id:
            return None
        since, until = lifetime(session, settings)
        due = min(until, due_at(session, settings))
        return self._remember(visit, Known(session, since, until, due, Pass(session.agent)))

    def _remember(self, visit: Visit, known: Known) -> Known:
        """In place of the oldest where there are too many."""
        with self._lock:
            if len(self._verified) >= REMEMBERED:
                self._verified.pop(next(iter(self._verified)), None)
            self._verified[visit.cookie_key] = known
        return known
