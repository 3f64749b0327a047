"""A sign-in that has been started: one cookie for each, bound to this browser.

The cookie's name is a digest of the state. It holds only the time and where to return to; nonce
and PKCE verifier are derived from the state, so that twenty of them at once stay small.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.secret import Discreet
from auth_agent.website.config.seal import Seal
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import cookie_name
from auth_agent.website.web.visit import Cookie, Visit

LIFETIME = 900
MAX_COUNT = 20
MAX_BYTES = 3_072
_MAX_CLEARED = 50  # of a flood of planted ones, so that the answer's own headers stay bounded

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class _Content(msgspec.Struct, frozen=True, array_like=True):
    started_at: int
    next: str


class Transaction(Discreet, frozen=True, kw_only=True):
    """What only the browser that started this sign-in can bring back."""

    state: str
    nonce: str
    verifier: str
    next: str
    cookie_name: str

    def __repr__(self) -> str:
        return f"Transaction({self.cookie_name})"


def begin(visit: Visit, next_path: str, site: Site) -> tuple[Transaction, tuple[Cookie, ...]]:
    """A new transaction and the cookies that keep it; the oldest ones make room."""
    state = encode(site.random(32))
    name = _name(state, site.settings)
    content = msgspec.json.encode(_Content(int(site.clock()), next_path))
    value = site.seal.encrypt("transaction", content, bound_to=name)
    cookie = Cookie(name, value, LIFETIME, site.settings.secure)
    crowded_out = _crowded_out(visit, cookie, site)
    return (
        _restore(state, next_path, name, site.seal),
        (cookie, *(clear(name, site.settings) for name in crowded_out)),
    )


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
    return _restore(state, content.next, name, site.seal, generation)


def clear(name: str, settings: Settings) -> Cookie:
    return Cookie(name, "", 0, settings.secure)


class SpentStates:
    """The states that have ended, so that a copied cookie does not end one twice here.

    Bounded; what it forgets is still refused by the server, where a code works once.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, transaction: Transaction, now: float) -> None:
        """Raises `SignInRefused` the second time."""
        with self._lock:
            if self._until.get(transaction.cookie_name, 0) > now:
                raise SignInRefused("This sign-in has ended already.", code="state_reused")
            self._until[transaction.cookie_name] = now + LIFETIME + CLOCK_SKEW
            while len(self._until) > self._limit:
                self._until.popitem(last=False)


def _restore(state: str, next_path: str, name: str, seal: Seal, generation: int = 0) -> Transaction:
    return Transaction(
        state=state,
        nonce=seal.derive("nonce", state, generation=generation),
        verifier=seal.derive("verifier", state, generation=generation),
        next=next_path,
        cookie_name=name,
    )


def _prefix(settings: Settings) -> str:
    return f"{cookie_name(settings)}_login_"


def _name(state: str, settings: Settings) -> str:
    return _prefix(settings) + encode(hashlib.sha256(state.encode()).digest()[:9])


def _crowded_out(visit: Visit, new: Cookie, site: Site) -> Iterator[str]:
    """The oldest transactions that must go, so that the new one fits."""
    prefix = _prefix(site.settings)
    old = [(name, value) for name, value in visit.cookies() if name.startswith(prefix)]
    ages = {name: _started_at(name, value, site.seal) for name, value in old}
    old.sort(key=lambda pair: ages[pair[0]])
    too_old = site.clock() - LIFETIME
    size = sum(_size(*pair) for pair in old) + _size(new.name, new.value)
    count = len(old) + 1
    for name, value in old[:_MAX_CLEARED]:
        if count > MAX_COUNT or size > MAX_BYTES or 0 < ages[name] <= too_old:
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
