"""Sessions that are kept in a store: the browser holds only their ids."""

from __future__ import annotations

from contextlib import suppress

from auth_agent.errors import ServerUnavailable, SignInRefused
from auth_agent.flow.effects import Flow, join
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.renewal import keep, wants_keeping
from auth_agent.website.recognition.session import (
    Session,
    cleared_cookie,
    read_session_id,
    session_cookie,
)
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import NOBODY, Recognised
from auth_agent.website.web.visit import Cookie, Visit


class StoredSessions:
    """The sessions of a website with a store."""

    def __init__(self, store: Store, site: Site) -> None:
        self._store = store
        self._site = site

    def recognise(self, visit: Visit) -> Recognised | Flow[Recognised]:
        """Asks the store for every request that brings an id."""
        session_id = read_session_id(visit, self._site.settings)
        return NOBODY if session_id is None else self._load(session_id)

    def recheck(self, visit: Visit) -> Flow[Recognised]:
        """Asks the store, as every request does."""
        found = self.recognise(visit)
        return found if isinstance(found, Recognised) else (yield from found)

    def count_ends(self) -> Flow[int]:
        """Returns how often sessions were ended so far; `open` compares it."""
        return self._store.count_ends()

    def reserve(self, session: Session, since: int) -> Flow[None]:
        """Stores a new session, whose id no browser has yet.

        Raises `SignInRefused` if the agent's sessions were ended after `count_ends` said `since`.
        """
        if not (yield from self._store.create(session, since=since)):
            raise _ended()

    def withdraw(self, session: Session) -> Flow[None]:
        """Forgets a session that was reserved."""
        with suppress(ServerUnavailable):  # it has an end of its own, and its id is secret
            yield from self._store.delete(session)

    def open(self, visit: Visit, session: Session) -> Flow[tuple[Cookie, ...]]:
        """Completes a reserved session, ends that of the visit, and returns the new one's cookie.

        Raises `SignInRefused` if the agent's sessions were ended meanwhile.
        """
        old = yield from self._current(visit)
        reserved = yield from self._store.fetch(session.id)
        if reserved is None or not (yield from self._store.update(session, reserved)):
            raise _ended()
        if old is not None:
            yield from self._store.delete(old)
        return (session_cookie(session, self._site),)

    def close(self, visit: Visit) -> Flow[tuple[Session | None, tuple[Cookie, ...]]]:
        """Ends the session of a visit; returns it, and the cookies that say so.

        Raises `ServerUnavailable`.
        """
        session = yield from self._current(visit)
        if session is not None:
            yield from self._store.delete(session)
        return session, (cleared_cookie(self._site.settings),)

    def end(self, kind: str, value: str = "") -> Flow[int]:
        """Ends every session of an `agent` or an `email`, or `all` of them; returns how many."""
        return self._store.end(kind, value)

    def _current(self, visit: Visit) -> Flow[Session | None]:
        session_id = read_session_id(visit, self._site.settings)
        return (yield from self._store.load(session_id)) if session_id else None

    def _load(self, session_id: str) -> Flow[Recognised]:
        store, site = self._store, self._site
        try:
            session = yield from store.load(session_id)
            if session is not None and wants_keeping(session, site):
                found = session
                key = ("keep", self, session_id)
                session = yield from join(key, lambda: keep(found, store, site))
        except ServerUnavailable as problem:  # 503, not 401: the session may be a good one
            return Recognised(None, problem=problem)
        return NOBODY if session is None else Recognised(session.agent)


def _ended() -> SignInRefused:
    return SignInRefused(
        "This website ended the agent's sessions while the agent signed in. Start again.",
        code="session_ended",
    )
