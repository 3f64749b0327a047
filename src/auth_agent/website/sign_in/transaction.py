"""A sign-in in progress: one cookie for each, bound to this browser.

The cookie's name is a digest of the state. It holds only the time and the return path; nonce and
PKCE verifier are derived from the state, so that twenty of them at once stay small.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.flow.kept import Guard
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.secret import Discreet
from auth_agent.url import shortened
from auth_agent.website.config.seal import Seal, Sealed
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import cookie_name, cookie_names
from auth_agent.website.sign_in.missing_state import (
    refuse_expired,
    refuse_reused,
    refuse_unknown,
    refuse_unreadable,
    refuse_without_cookie,
)
from auth_agent.website.sign_in.queries import NOTHING, Asked
from auth_agent.website.web.visit import Cookie, Visit

LIFETIME = 1_800  # an agent has ten minutes to come at the server, and its owner ten more
_KEPT = 4 * LIFETIME  # by the browser, so that a late one gets the right error
MAX_COUNT = 20
MAX_BYTES = 3_072
MAX_SHORT = 300  # characters of a return path, if other sign-ins wait
_MAX_CLEARED = 50  # of a flood of planted ones, so that the answer's own headers stay bounded

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class _Content(msgspec.Struct, frozen=True, array_like=True):
    started_at: int
    next: str
    max_age: int | None = None
    approved: bool = False
    agent: str | None = None
    act: str | None = None

    @property
    def asked(self) -> Asked:
        return Asked(self.max_age, self.approved, self.agent, self.act)


class Transaction(Discreet, frozen=True, kw_only=True):
    """The part of a sign-in that only the browser that started it can present."""

    state: str
    nonce: str
    verifier: str
    next: str
    cookie_name: str
    asked: Asked = NOTHING

    def __repr__(self) -> str:
        return f"Transaction({self.cookie_name})"


def begin(
    visit: Visit, next_path: str, site: Site, *, asked: Asked = NOTHING
) -> tuple[Transaction, tuple[Cookie, ...]]:
    """Returns a new transaction and the cookies that keep it.

    If sign-ins of other tabs wait, the return path is shortened before one of them is dropped.
    """
    state, settings = encode(site.random(32)), site.settings
    name, others = _name(state, settings), _waiting(visit, site)
    room = MAX_BYTES - sum(_size(name, value) for name, value, _ in others)
    cookie, content = _cookie_for(name, next_path, asked, site)
    for size in (MAX_SHORT, 0):
        if not others or _size(cookie.name, cookie.value) <= room:
            break
        short = shortened(next_path, size, settings.home)
        cookie, content = _cookie_for(name, short, asked, site)
    crowded_out = _crowded_out(others, cookie, site)
    return (
        _restore(state, content, name, site.seal),
        (cookie, *(clear(name, settings) for name in crowded_out)),
    )


def _cookie_for(name: str, next_path: str, asked: Asked, site: Site) -> tuple[Cookie, _Content]:
    wanted = (asked.max_age, asked.approved, asked.agent, asked.act)
    content = _Content(int(site.clock()), next_path, *wanted)
    data = msgspec.json.encode(content)
    value = site.seal.encrypt("transaction", data, bound_to=name)
    return Cookie(name, value, _KEPT, site.settings.secure), content


def recall(visit: Visit, state: str | None, site: Site, spent: SpentStates) -> Transaction:
    """Returns the transaction of this state; raises `SignInRefused` if the browser has none."""
    if not state:
        raise SignInRefused(
            "The sign-in response is incomplete (no `state`).", code="state_missing"
        )
    if not _STATE.fullmatch(state):
        raise refuse_unknown()
    name = _name(state, site.settings)
    value = visit.cookie(name)
    if not value:
        if spent.was_ended_by(visit, name, site.settings, site.clock()):
            raise refuse_reused()
        raise refuse_without_cookie(visit, site.settings)
    sealed = site.seal.decrypt("transaction", value, bound_to=name)
    if sealed is None:
        raise refuse_unreadable()
    content, now = _read(sealed), site.clock()
    if content is None:
        raise refuse_unknown()
    if not now - LIFETIME < content.started_at <= now + CLOCK_SKEW:
        raise refuse_expired()
    return _restore(state, content, name, site.seal, sealed.generation)


def clear(name: str, settings: Settings) -> Cookie:
    return Cookie(name, "", 0, settings.secure)


class SpentStates:
    """The finished states, so that a copied cookie cannot finish one twice here.

    Bounded; the server still refuses a forgotten one, because its code is single-use.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()
        self._session: dict[str, bytes] = {}
        self._guard = Guard()

    def spend(self, transaction: Transaction, now: float) -> None:
        """Raises `SignInRefused` at the second use."""
        with self._guard:
            if self._until.get(transaction.cookie_name, 0) > now:
                raise refuse_reused()
            self._until[transaction.cookie_name] = now + LIFETIME + CLOCK_SKEW
            while len(self._until) > self._limit:
                forgotten, _ = self._until.popitem(last=False)
                self._session.pop(forgotten, None)

    def remember_session(self, transaction: Transaction, cookies: Iterable[Cookie]) -> None:
        """Remembers a digest of the session that the sign-in has made, to know its browser by."""
        made = next((cookie.value for cookie in cookies if cookie.max_age > 0), "")
        with self._guard:
            if made and transaction.cookie_name in self._until:
                self._session[transaction.cookie_name] = _digest(made)

    def was_ended_by(self, visit: Visit, name: str, settings: Settings, now: float) -> bool:
        """Returns True for a second click: the browser brings the session that this made.

        No other browser learns whether a sign-in has ended.
        """
        digest = self._session.get(name)
        if digest is None or self._until.get(name, 0) <= now:
            return False
        brought = (visit.cookie(each) or "" for each in cookie_names(settings))
        return any(hmac.compare_digest(_digest(value), digest) for value in brought)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()[:16]


def _restore(
    state: str, content: _Content, name: str, seal: Seal, generation: int = 0
) -> Transaction:
    return Transaction(
        state=state,
        nonce=seal.derive("nonce", state, generation=generation),
        verifier=seal.derive("verifier", state, generation=generation),
        next=content.next,
        cookie_name=name,
        asked=content.asked,
    )


def _prefix(settings: Settings) -> str:
    return f"{cookie_name(settings)}_login_"


def _name(state: str, settings: Settings) -> str:
    return _prefix(settings) + encode(hashlib.sha256(state.encode()).digest()[:9])


def _waiting(visit: Visit, site: Site) -> list[tuple[str, str, int]]:
    """Returns the other transactions of this browser, the oldest first: name, value, start."""
    prefix = _prefix(site.settings)
    found = [
        (name, value, _started_at(name, value, site.seal))
        for name, value in visit.cookies()
        if name.startswith(prefix)
    ]
    return sorted(found, key=lambda one: one[2])


def _crowded_out(others: list[tuple[str, str, int]], new: Cookie, site: Site) -> Iterator[str]:
    """Returns the transactions to drop: over the limit, too old, or unreadable and in the way."""
    too_old = site.clock() - LIFETIME
    size = sum(_size(name, value) for name, value, _ in others) + _size(new.name, new.value)
    count = len(others) + 1
    for name, value, started_at in others[:_MAX_CLEARED]:
        unreadable = started_at == 0 and size > MAX_BYTES
        if count > MAX_COUNT or unreadable or 0 < started_at <= too_old:
            count, size = count - 1, size - _size(name, value)
            yield name


def _size(name: str, value: str) -> int:
    return len(name) + len(value) + len("=; ")


def _started_at(name: str, value: str, seal: Seal) -> int:
    """Returns the start, or 0 for an unreadable cookie: during a change of secrets another worker
    may read it, so it is dropped only if room is needed.
    """
    opened = _open(name, value, seal)
    return opened.started_at if opened else 0


def _open(name: str, value: str, seal: Seal) -> _Content | None:
    sealed = seal.decrypt("transaction", value, bound_to=name)
    return None if sealed is None else _read(sealed)


def _read(sealed: Sealed) -> _Content | None:
    """Returns the content of the cookie; None if an older or newer release sealed it."""
    try:
        return msgspec.json.decode(sealed.data, type=_Content)
    except msgspec.MsgspecError:
        return None
