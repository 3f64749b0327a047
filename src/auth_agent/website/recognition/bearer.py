"""The agent behind an access token, remembered for a while.

`recognise` is for `Authorization: Bearer`; `dpop` adds the proof that a bound token needs.

A token that was verified is remembered by its digest, never past its end, and only while the key
that signed it is still published. Once it is a minute old (`AUTH_AGENT_BEARER_RECHECK`), whenever
it comes, the server is asked whether it has been revoked, and then once a minute; a server that
cannot be asked takes nothing away. A token that was refused stays refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow, join, limited, send
from auth_agent.flow.kept import Guard
from auth_agent.protocol.introspection import introspection_request, parse_introspection
from auth_agent.protocol.jose.access_token import (
    ExpectedAccess,
    bound_key,
    check_introspected,
    read_access_token,
    verify_access_token,
)
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.authorization import agent_of_token, read_token
from auth_agent.website.recognition.known import (
    Known,
    content_of,
    digest_of,
    inactive,
    put,
    worth,
)
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import NOBODY, Recognised

MAX_REMEMBERED = 4_096
MAX_REVOKED = 65_536
OPAQUE_SECONDS = 60
REFUSED_SECONDS = 10


class Bearers:
    """The tokens that this process has seen; bounded, the oldest go first."""

    def __init__(self, site: Site, store: Store | None = None) -> None:
        self._site = site
        self._store = store
        settings = site.settings
        self._expected = ExpectedAccess(
            settings.issuer, settings.expected_audience, settings.client_id
        )
        self._opaque_seconds = min(settings.bearer_recheck or OPAQUE_SECONDS, OPAQUE_SECONDS)
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        # Apart from the good ones, so that garbage crowds out none of them.
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        # Tokens of the server that it has revoked, until they end. Keyed by what was signed: a
        # second signature of ECDSA can be made from the first one without the key.
        self._revoked: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Guard()

    def recognise(self, authorization: str) -> Recognised | Flow[Recognised]:
        """Returns at once if nothing has to be asked: the hot path."""
        known = self._known.get(digest_of(authorization))
        if known is not None and self._is_good(known):
            return known.recognised
        return self._ask(authorization)

    def find(self, token: str) -> Known | None:
        """Returns a token of which everything is known."""
        known = self._known.get(digest_of(f"Bearer {token}"))
        return known if known is not None and self._is_good(known) else None

    def _ask(self, authorization: str) -> Flow[Recognised]:
        try:
            known = yield from self.resolve(read_token(authorization))
        except AuthError as problem:
            return Recognised(None, problem=problem)
        return known.recognised

    def resolve(self, token: str) -> Flow[Known]:
        """Raises `TokenRefused`, or `ServerUnavailable` if nothing is known of the token yet.

        A question to the server is asked once, however many requests bring the token meanwhile.
        """
        digest = digest_of(f"Bearer {token}")  # one token is one entry, however it is spelt
        if self._refused.get(digest, float("-inf")) > self._site.ticks():
            raise inactive()
        if token.count(".") == 2:
            return (yield from self._resolve_signed(token, digest))
        if not self._site.settings.has_client:
            raise TokenRefused(
                "The token is opaque; this API accepts only signed tokens (JWT).",
                code="token_opaque",
            )
        key = ("bearer", self, digest)
        return (
            yield from limited(
                "unknown", lambda: join(key, lambda: self._resolve_opaque(token, digest))
            )
        )

    def _is_good(self, known: Known) -> bool:
        return self._is_verified(known) and not self._must_ask(known)

    def _is_verified(self, known: Known) -> bool:
        return self._site.clock() < known.expires_at and (
            self._site.ticks() < known.checked_at + self._opaque_seconds
            if known.key is None
            else self._site.provider.still_has(known.key)
        )

    def _must_ask(self, known: Known) -> bool:
        settings = self._site.settings
        recheck = settings.bearer_recheck
        asks = recheck > 0 and known.key is not None and settings.has_client
        return asks and self._site.ticks() >= known.checked_at + recheck

    def _check_revoked(self, content: bytes) -> None:
        """Raises `TokenRefused` if the server has revoked what was signed."""
        if self._revoked.get(content, 0) > self._site.clock():
            raise inactive()

    def _resolve_signed(self, token: str, digest: bytes) -> Flow[Known]:
        self._check_revoked(content_of(token))
        known = self._known.get(digest)
        if known is None or not self._is_verified(known):
            known = yield from self._verify(token, digest, known)
        if self._must_ask(known):
            verified = known
            key = ("bearer", self, digest)
            known = yield from join(key, lambda: self._recheck(token, digest, verified))
        return known

    def _verify(self, token: str, digest: bytes, before: Known | None) -> Flow[Known]:
        settings = self._site.settings
        header = read_access_token(token, allowed=settings.algorithms)
        key = yield from self._site.provider.key(header)
        now = self._site.clock()
        claims = verify_access_token(token, header, key, expected=self._expected, now=now)
        age = max(0, now - claims["iat"])
        checked_at = self._site.ticks() - age if before is None else before.checked_at
        known = self._known_by(
            claims, Known(NOBODY, claims["exp"], checked_at, key, content_of(token)), claims["exp"]
        )
        yield from self._ask_store(known)
        return self._remember(digest, known)

    def _recheck(self, token: str, digest: bytes, known: Known) -> Flow[Known]:
        try:
            asked = yield from limited("recheck", lambda: self._introspect(token))
            revoked = asked is None
        except AuthError:  # valid until its end; asked again in a minute
            revoked = False
        if revoked:
            yield from self._revoke(known)
            raise inactive()
        yield from self._ask_store(known)
        checked = msgspec.structs.replace(known, checked_at=self._site.ticks())
        return self._remember(digest, checked)

    def _resolve_opaque(self, token: str, digest: bytes) -> Flow[Known]:
        known = self._known.get(digest)
        if known is not None and self._is_verified(known):
            return known
        claims = yield from self._introspect(token)
        now = self._site.clock()
        if claims is None:
            self._refuse(digest, until=self._site.ticks() + REFUSED_SECONDS)
            raise inactive()
        claims = check_introspected(claims, expected=self._expected, now=now)
        exp = claims.get("exp", now + self._opaque_seconds)
        known = Known(NOBODY, exp, self._site.ticks(), None)
        return self._remember(digest, self._known_by(claims, known, exp))

    def _revoke(self, known: Known) -> Flow[None]:
        """Remembers it for every spelling of the token, here and on the other machines."""
        until = known.expires_at + CLOCK_SKEW
        with self._lock:
            for digest in [d for d, other in self._known.items() if other.content == known.content]:
                del self._known[digest]
            put(self._revoked, known.content, until, MAX_REVOKED)
        if self._store is not None:
            with suppress(ServerUnavailable):
                seconds = max(1, int(until - self._site.clock()))
                yield from self._store.revoke(known.content, seconds)

    def _ask_store(self, known: Known) -> Flow[None]:
        """Raises `TokenRefused` if another machine was told that the token is revoked."""
        if self._store is None:
            return
        try:
            revoked = yield from self._store.is_revoked(known.content)
        except ServerUnavailable:  # the token's own checks have passed
            return
        if revoked:
            with self._lock:
                put(self._revoked, known.content, known.expires_at + CLOCK_SKEW, MAX_REVOKED)
            raise inactive()

    def _known_by(self, claims: Mapping[str, Any], known: Known, expires_at: float) -> Known:
        """Adds what verified claims say: the agent, and the key that the token is bound to."""
        settings, now, jkt = self._site.settings, self._site.clock(), bound_key(claims)
        agent = agent_of_token(
            claims,
            issuer=settings.issuer,
            now=now,
            expires_at=expires_at,
            via="bearer" if jkt is None else "dpop",
        )
        alone, bound = worth(agent, jkt, required=settings.dpop == "require")
        return msgspec.structs.replace(known, recognised=alone, jkt=jkt, bound=bound)

    def _introspect(self, token: str) -> Flow[Mapping[str, Any] | None]:
        metadata = yield from self._site.provider.metadata()
        request = introspection_request(token, "access_token", self._site.credentials(metadata))
        if request is None:
            raise ServerUnavailable("The server has no introspection endpoint.")
        return parse_introspection((yield from send(request)))

    def _remember(self, digest: bytes, known: Known) -> Known:
        with self._lock:
            self._check_revoked(known.content)  # meanwhile, in another spelling
            put(self._known, digest, known, MAX_REMEMBERED)
        return known

    def _refuse(self, digest: bytes, *, until: float) -> None:
        with self._lock:
            self._known.pop(digest, None)
            put(self._refused, digest, until, MAX_REMEMBERED)
