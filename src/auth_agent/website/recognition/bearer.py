"""`Authorization: Bearer`: the agent behind an access token, remembered for a while.

A token that was verified is remembered by its digest, never past its end, and only while the key
that signed it is still published. Once it is a minute old (`AUTH_AGENT_BEARER_RECHECK`), whenever
it comes, the server is asked whether it has been revoked, and then once a minute; a server that
cannot be asked takes nothing away. A token that was refused stays refused.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow, join, limited, send
from auth_agent.flow.kept import Guard
from auth_agent.protocol.introspection import introspection_request, parse_introspection
from auth_agent.protocol.jose.access_token import (
    ExpectedAccess,
    check_introspected,
    read_access_token,
    verify_access_token,
)
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.jwks import Key
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.authorization import agent_of_token, read_token
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import Recognised

T = TypeVar("T")

MAX_REMEMBERED = 4_096
MAX_REVOKED = 65_536
OPAQUE_SECONDS = 60
REFUSED_SECONDS = 10


class _Known(msgspec.Struct, frozen=True):
    """A good token in the memory; an opaque one has no key."""

    recognised: Recognised
    expires_at: float
    checked_at: float
    """When it was last known not to be revoked: when it was issued, to begin with."""
    key: Key | None
    content: bytes = b""
    """The digest of what the key has signed: the same in every spelling of the signature."""


class Bearers:
    """The tokens that this process has seen; bounded, the oldest go first."""

    def __init__(self, site: Site, store: Store | None = None) -> None:
        self._site = site
        self._store = store
        settings = site.settings
        self._expected = ExpectedAccess(
            settings.issuer, settings.expected_audience, settings.client_id
        )
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        # Apart from the good ones, so that garbage crowds out none of them.
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        # Tokens of the server that it has revoked, until they end. Keyed by what was signed: a
        # second signature of ECDSA can be made from the first one without the key.
        self._revoked: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Guard()

    def recognise(self, authorization: str) -> Recognised | Flow[Recognised]:
        """Returns at once if nothing has to be asked: the hot path."""
        known = self._known.get(_digest(authorization))
        if known is not None and self._is_good(known):
            return known.recognised
        return self._ask(authorization)

    def _ask(self, authorization: str) -> Flow[Recognised]:
        try:
            known = yield from self.resolve(authorization)
        except AuthError as problem:
            return Recognised(None, problem=problem)
        return known

    def resolve(self, authorization: str) -> Flow[Recognised]:
        """Raises `TokenRefused`, or `ServerUnavailable` if nothing is known of the token yet.

        A question to the server is asked once, however many requests bring the token meanwhile.
        """
        token = read_token(authorization)
        digest = _digest(f"Bearer {token}")  # one token is one entry, however it is spelt
        if self._refused.get(digest, 0) > self._site.clock():
            raise _inactive()
        if token.count(".") == 2:
            known = yield from self._resolve_signed(token, digest)
        elif not self._site.settings.has_client:
            raise TokenRefused(
                "The token is opaque, and this API accepts signed ones (JWT) only.",
                code="token_opaque",
            )
        else:
            key = ("bearer", self, digest)
            known = yield from limited(
                "unknown", lambda: join(key, lambda: self._resolve_opaque(token, digest))
            )
        return known.recognised

    def _is_good(self, known: _Known) -> bool:
        return self._is_verified(known) and not self._must_ask(known)

    def _is_verified(self, known: _Known) -> bool:
        return self._site.clock() < known.expires_at and (
            known.key is None or self._site.provider.still_has(known.key)
        )

    def _must_ask(self, known: _Known) -> bool:
        settings = self._site.settings
        recheck = settings.bearer_recheck
        asks = recheck > 0 and known.key is not None and settings.has_client
        return asks and self._site.clock() >= known.checked_at + recheck

    def _check_revoked(self, content: bytes) -> None:
        """Raises `TokenRefused` if the server has revoked what was signed."""
        if self._revoked.get(content, 0) > self._site.clock():
            raise _inactive()

    def _resolve_signed(self, token: str, digest: bytes) -> Flow[_Known]:
        self._check_revoked(_content(token))
        known = self._known.get(digest)
        if known is None or not self._is_verified(known):
            known = yield from self._verify(token, digest, known)
        if self._must_ask(known):
            verified = known
            key = ("bearer", self, digest)
            known = yield from join(key, lambda: self._recheck(token, digest, verified))
        return known

    def _verify(self, token: str, digest: bytes, before: _Known | None) -> Flow[_Known]:
        settings = self._site.settings
        header = read_access_token(token, allowed=settings.algorithms)
        key = yield from self._site.provider.key(header)
        now = self._site.clock()
        claims = verify_access_token(token, header, key, expected=self._expected, now=now)
        found = self._recognised(claims, now, claims["exp"])
        checked_at = min(claims["iat"], now) if before is None else before.checked_at
        known = _Known(found, claims["exp"], checked_at, key, _content(token))
        yield from self._ask_store(known)
        return self._remember(digest, known)

    def _recheck(self, token: str, digest: bytes, known: _Known) -> Flow[_Known]:
        try:
            revoked = (yield from self._introspect(token)) is None
        except AuthError:  # valid until its end; asked again in a minute
            revoked = False
        if revoked:
            yield from self._revoke(known)
            raise _inactive()
        yield from self._ask_store(known)
        checked = msgspec.structs.replace(known, checked_at=self._site.clock())
        return self._remember(digest, checked)

    def _resolve_opaque(self, token: str, digest: bytes) -> Flow[_Known]:
        known = self._known.get(digest)
        if known is not None and self._is_verified(known):
            return known
        claims = yield from self._introspect(token)
        now = self._site.clock()
        if claims is None:
            self._refuse(digest, until=now + REFUSED_SECONDS)
            raise _inactive()
        claims = check_introspected(claims, expected=self._expected, now=now)
        seconds = min(self._site.settings.bearer_recheck or OPAQUE_SECONDS, OPAQUE_SECONDS)
        exp = claims.get("exp", now + seconds)
        found = self._recognised(claims, now, exp)
        return self._remember(digest, _Known(found, min(exp, now + seconds), now, None))

    def _revoke(self, known: _Known) -> Flow[None]:
        """Remembers it for every spelling of the token, here and on the other machines."""
        until = known.expires_at + CLOCK_SKEW
        with self._lock:
            for digest in [d for d, other in self._known.items() if other.content == known.content]:
                del self._known[digest]
            _put(self._revoked, known.content, until, MAX_REVOKED)
        if self._store is not None:
            with suppress(ServerUnavailable):
                seconds = max(1, int(until - self._site.clock()))
                yield from self._store.revoke(known.content, seconds)

    def _ask_store(self, known: _Known) -> Flow[None]:
        """Raises `TokenRefused` if another machine was told that the token is revoked."""
        if self._store is None:
            return
        try:
            revoked = yield from self._store.is_revoked(known.content)
        except ServerUnavailable:  # the token's own checks have passed
            return
        if revoked:
            with self._lock:
                _put(self._revoked, known.content, known.expires_at + CLOCK_SKEW, MAX_REVOKED)
            raise _inactive()

    def _recognised(self, claims: Mapping[str, Any], now: float, expires_at: float) -> Recognised:
        issuer = self._site.settings.issuer
        return Recognised(agent_of_token(claims, issuer=issuer, now=now, expires_at=expires_at))

    def _introspect(self, token: str) -> Flow[Mapping[str, Any] | None]:
        metadata = yield from self._site.provider.metadata()
        request = introspection_request(token, "access_token", self._site.credentials(metadata))
        if request is None:
            raise ServerUnavailable("The server has no introspection endpoint.")
        return parse_introspection((yield from send(request)))

    def _remember(self, digest: bytes, known: _Known) -> _Known:
        with self._lock:
            self._check_revoked(known.content)  # meanwhile, in another spelling
            _put(self._known, digest, known, MAX_REMEMBERED)
        return known

    def _refuse(self, digest: bytes, *, until: float) -> None:
        with self._lock:
            self._known.pop(digest, None)
            _put(self._refused, digest, until, MAX_REMEMBERED)


def _put(memory: OrderedDict[bytes, T], digest: bytes, value: T, limit: int) -> None:
    memory[digest] = value
    memory.move_to_end(digest)
    while len(memory) > limit:
        memory.popitem(last=False)


def _content(token: str) -> bytes:
    """The digest of what was signed (RFC 7515 5.1, step 5)."""
    return _digest(token.rpartition(".")[0])


def _inactive() -> TokenRefused:
    return TokenRefused("The token is not active; it may have been revoked.", code="token_inactive")


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode()).digest()
