"""`Authorization: Bearer`: the agent behind an access token, remembered for a while.

A token that was verified is remembered by its digest, never past its end, and only while the key
that signed it is still published. After a minute (`AUTH_AGENT_BEARER_RECHECK`) the server is asked
whether it has been revoked; a server that cannot be asked takes nothing away.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from auth_agent.access_token import (
    agent_of,
    check_introspected,
    read_access_token,
    verify_access_token,
)
from auth_agent.agent import Agent
from auth_agent.errors import AuthError, ServerUnavailable, TokenRefused
from auth_agent.introspection import introspection_request, parse_introspection
from auth_agent.jwks import Key
from auth_agent.site import Site
from auth_agent.wire import Flow, join, send

REMEMBERED = 4_096
OPAQUE_SECONDS = 60
REFUSED_SECONDS = 10
MAX_HEADER = 32_768 + 16

_SCHEME = re.compile(r"bearer(?:\s|$)", re.IGNORECASE)
_CREDENTIALS = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750 2.1


class _Known(msgspec.Struct, frozen=True):
    """What is remembered of a token; a refused opaque one has no agent."""

    agent: Agent | None
    expires_at: float
    checked_at: float
    key: Key | None


def is_bearer(authorization: str) -> bool:
    """Whether the header is meant for us; other schemes are the website's own."""
    return _SCHEME.match(authorization) is not None


def read_token(authorization: str) -> str:
    """Raises `TokenRefused` with `invalid_request` where there is not exactly one token."""
    found = _CREDENTIALS.fullmatch(authorization) if len(authorization) <= MAX_HEADER else None
    if found is None:
        raise TokenRefused(
            "The Authorization header is not `Bearer` and one token.",
            code="invalid_request",
            status_code=400,
        )
    return found[1]


class Bearers:
    """The tokens that this process has seen; bounded, the oldest go first."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, authorization: str) -> Agent | None:
        """The agent of a header that needs no question to anybody: the hot path."""
        known = self._known.get(_digest(authorization))
        if known is None or known.agent is None or not self._is_good(known):
            return None
        return _copy(known.agent)

    def resolve(self, authorization: str) -> Flow[Agent]:
        """Raises `TokenRefused`, or `ServerUnavailable` where nothing is known of it yet.

        A question to the server is asked once, however many requests bring the token meanwhile.
        """
        token, digest = read_token(authorization), _digest(authorization)
        key, known = ("bearer", self, digest), self._known.get(digest)
        if token.count(".") != 2:
            agent = yield from join(key, lambda: self._resolve_opaque(token, digest))
        elif known is not None and known.agent is not None and self._needs_only_recheck(known):
            agent = yield from join(key, lambda: self._recheck(token, digest, known))
        else:
            agent = yield from self._verify(token, digest)
        return _copy(agent)

    def _is_good(self, known: _Known) -> bool:
        now, recheck = self._site.clock(), self._site.settings.bearer_recheck
        return (
            now < known.expires_at
            and (known.key is None or self._site.provider.still_has(known.key))
            and (recheck == 0 or known.key is None or now < known.checked_at + recheck)
        )

    def _verify(self, token: str, digest: bytes) -> Flow[Agent]:
        settings = self._site.settings
        header = read_access_token(token, allowed=settings.algorithms)
        key = yield from self._site.provider.key(header)
        now = self._site.clock()
        claims = verify_access_token(token, header, key, settings=settings, now=now)
        agent = agent_of(claims, settings=settings, expires_at=int(claims["exp"]))
        self._remember(digest, _Known(agent, claims["exp"], now, key))
        return agent

    def _needs_only_recheck(self, known: _Known) -> bool:
        now = self._site.clock()
        return (
            now < known.expires_at
            and known.key is not None
            and self._site.provider.still_has(known.key)
        )

    def _recheck(self, token: str, digest: bytes, known: _Known) -> Flow[Agent]:
        try:
            revoked = (yield from self._introspect(token)) is None
        except AuthError:  # valid until its end; asked again in a minute
            revoked = False
        if revoked or known.agent is None:
            self._forget(digest)
            raise TokenRefused("The token has been revoked.", code="token_inactive")
        self._remember(digest, msgspec.structs.replace(known, checked_at=self._site.clock()))
        return known.agent

    def _resolve_opaque(self, token: str, digest: bytes) -> Flow[Agent]:
        now = self._site.clock()
        known = self._known.get(digest)
        if known is None or now >= known.expires_at:
            known = yield from self._ask_after(token, digest)
        if known.agent is None:
            raise TokenRefused("The token is not active.", code="token_inactive")
        return known.agent

    def _ask_after(self, token: str, digest: bytes) -> Flow[_Known]:
        claims = yield from self._introspect(token)
        now, settings = self._site.clock(), self._site.settings
        if claims is None:
            known = _Known(None, now + REFUSED_SECONDS, now, None)
        else:
            check_introspected(claims, settings=settings, now=now)
            exp = claims.get("exp", now + OPAQUE_SECONDS)
            agent = agent_of(claims, settings=settings, expires_at=int(exp))
            known = _Known(agent, min(exp, now + OPAQUE_SECONDS), now, None)
        self._remember(digest, known)
        return known

    def _introspect(self, token: str) -> Flow[Mapping[str, Any] | None]:
        metadata = yield from self._site.provider.metadata()
        request = introspection_request(token, "access_token", self._site.credentials(metadata))
        if request is None:
            raise ServerUnavailable("The server has no introspection endpoint.")
        return parse_introspection((yield from send(request)))

    def _remember(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            self._known[digest] = known
            self._known.move_to_end(digest)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        with self._lock:
            self._known.pop(digest, None)


def _copy(agent: Agent) -> Agent:
    """Claims can be written to; what one request does to them is not the next one's."""
    return msgspec.structs.replace(agent, claims=dict(agent.claims))


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode()).digest()
