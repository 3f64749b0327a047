"""A sign-in that has been started: one cookie for each, bound to this browser.

The cookie's name is a digest of the state. It holds only the time and where to return to; nonce
and PKCE verifier are derived from the state, so that twenty of them at once stay small.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.flow.kept import Guard
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.secret import Discreet
from auth_agent.url import shortened
from auth_agent.website.config.seal import Seal
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import cookie_name
from auth_agent.website.web.visit import Cookie, Visit

LIFETIME = 900
MAX_COUNT = 20
MAX_BYTES = 3_072
MAX_SHORT = 300  # characters of an address to return to, if other sign-ins wait
_MAX_CLEARED = 50  # of a flood of planted ones, so that the answer's own headers stay bounded

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class _Content(msgspec.Struct, frozen=True, array_like=True):
    started_at: int
    next: str
    max_age: int | None = None


class Transaction(Discreet, frozen=True, kw_only=True):
    """What only the browser that started this sign-in can bring back."""

    state: str
    nonce: str
    verifier: str
    next: str
    cookie_name: str
    max_age: int | None = None

    def __repr__(self) -> str:
        return f"Transaction({self.cookie_name})"


def begin(
    visit: Visit, next_path: str, site: Site, *, max_age: int | None = None
) -> tuple[Transaction, tuple[Cookie, ...]]:
    """Returns a new transaction and the cookies that keep it.

    If sign-ins of other tabs wait, the address to return to is shortened before any of them goes.
    """
    state, settings = encode(site.random(32)), site.settings
    name, others = _name(state, settings), _waiting(visit, site)
    room = MAX_BYTES - sum(_size(name, value) for name, value, _ in others)
    cookie, content = _cookie_for(name, next_path, max_age, site)
    for size in (MAX_SHORT, 0):
        if not others or _size(cookie.name, cookie.value) <= room:
            break
        short = shortened(next_path, size, settings.home)
        cookie, content = _cookie_for(name, short, max_age, site)
    crowded_out = _crowded_out(others, cookie, site)
    return (
        _restore(state, content, name, site.seal),
        (cookie, *(clear(name, settings) for name in crowded_out)),
    )


def _cookie_for(
    name: str, next_path: str, max_age: int | None, site: Site
) -> tuple[Cookie, _Content]:
    content = _Content(int(site.clock()), next_path, max_age)
    data = msgspec.json.encode(content)
    value = site.seal.encrypt("transaction", data, bound_to=name)
    return Cookie(name, value, LIFETIME, site.settings.secure), content


def recall(visit: Visit, state: str | None, site: Site) -> Transaction:
    """The transaction of this state; raises `SignInRefused` with `state_…` where there is none."""
    if not state:
        raise SignInRefused("The answer carries no state.", code="state_missing")
    name = _name(state, site.settings) if _STATE.fullmatch(state) else None
    value = visit.cookie(name) if name else None
    opened = _open(name, value, site.seal) if name and value else None
    if name is None or opened is None:
        raise SignInRefused(
            "This browser has not started the sign-in that ends here, or has ended it already.",
            code="state_unknown",
        )
    content, generation = opened
    now = site.clock()
    if not now - LIFETIME < content.started_at <= now + CLOCK_SKEW:
        raise SignInRefused(
            "This sign-in was started too long ago; it must end within 15 minutes.",
            code="state_expired",
        )
    return _restore(state, content, name, site.seal, generation)


def clear(name: str, settings: Settings) -> Cookie:
    return Cookie(name, "", 0, settings.secure)


class SpentStates:
    """The states that have ended, so that a copied cookie does not end one twice here.

    Bounded; what it forgets is still refused by the server, where a code works once.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()
        self._guard = Guard()

    def spend(self, transaction: Transaction, now: float) -> None:
        """Raises `SignInRefused` the second time."""
        with self._guard:
            if self._until.get(transaction.cookie_name, 0) > now:
                raise SignInRefused("This sign-in has ended already.", code="state_reused")
            self._until[transaction.cookie_name] = now + LIFETIME + CLOCK_SKEW
            while len(self._until) > self._limit:
                self._until.popitem(last=False)


def _restore(
    state: str, content: _Content, name: str, seal: Seal, generation: int = 0
) -> Transaction:
    return Transaction(
        state=state,
        nonce=seal.derive("nonce", state, generation=generation),
        verifier=seal.derive("verifier", state, generation=generation),
        next=content.next,
        cookie_name=name,
        max_age=content.max_age,
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
    """The transactions that go: over the count, too old, or unreadable and in the way."""
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
    """0 for what we cannot read: during a change of secrets another worker may, so it goes only
    where there is no room.

    (A planted one is the first to go; a good one is never crowded out by it.)
    """
    opened = _open(name, value, seal)
    return opened[0].started_at if opened else 0


def _open(name: str, value: str, seal: Seal) -> tuple[_Content, int] | None:
    """What is in the cookie, and which of the secrets made it."""
    sealed = seal.decrypt("transaction", value, bound_to=name)
    if sealed is None:
        return None
    try:
        return msgspec.json.decode(sealed.data, type=_Content), sealed.generation
    except msgspec.MsgspecError:  # sealed by an older or newer release
        return None
