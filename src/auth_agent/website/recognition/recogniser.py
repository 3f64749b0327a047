"""Who is it? The one front of recognition: each kind of credential stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from auth_agent.errors import AuthError, ServerUnavailable, SignInRefused, TokenRefused
from auth_agent.flow.effects import Flow
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.authorization import two_credentials
from auth_agent.website.recognition.bearer import Bearers
from auth_agent.website.recognition.cookie_sessions import CookieSessions
from auth_agent.website.recognition.dpop import BoundTokens
from auth_agent.website.recognition.session import cookie_names
from auth_agent.website.recognition.store import Store
from auth_agent.website.recognition.stored_sessions import StoredSessions
from auth_agent.website.web.outcome import NOBODY, Recognised
from auth_agent.website.web.scheme import is_bearer, is_doubled, is_dpop
from auth_agent.website.web.visit import Visit

if TYPE_CHECKING:
    from auth_agent.website.recognition.signatures.ambient import SignedSessions

Sessions = CookieSessions | StoredSessions
Recognition = Recognised | Flow[Recognised]


class Ambient(Protocol):
    """Recognises what browsers send by themselves, without a script."""

    def recognise(self, visit: Visit, /) -> Recognition: ...


class Recogniser:
    """Finds the one credential of a visit that counts, and the agent behind it.

    `Authorization` counts before everything else, then a good session, then a signature, which some
    browsers add to every request. The identity is always that of one credential: where one does not
    prove anything, no other one is looked at.
    """

    def __init__(self, site: Site) -> None:
        url = site.settings.store_url
        self._base_url = site.settings.base_url
        self._cookie_names = cookie_names(site.settings)
        self.store = Store(url, site) if url is not None else None
        self.bearers = Bearers(site, self.store)
        self.sessions: Sessions = (
            StoredSessions(self.store, site)
            if self.store is not None and site.settings.sign_in
            else CookieSessions(site)
        )
        self.bound_tokens = BoundTokens(site, self.bearers, self.store)
        self._ambient: Ambient = self.sessions if site.settings.sign_in else _NoSessions()
        self._signed: SignedSessions | None = None
        if site.settings.signatures:
            self._signed = _signed_sessions(site, self.store, self._ambient.recognise)
            self._ambient = self._signed

    def recognise(self, visit: Visit) -> Recognition:
        """Returns at once what is known, else a flow that asks; runs for every request."""
        authorization = visit.authorization
        if authorization is None:
            return self._ambient.recognise(visit)
        if is_bearer(authorization):
            return self.bearers.recognise(authorization)
        return self._by_header(visit, authorization) or self._ambient.recognise(visit)

    def is_still_active(self, visit: Visit, agent: Agent) -> Flow[bool]:
        """Returns False if the credential that this agent came in by is refused by now.

        No proof and no nonce is asked for again, and who cannot be asked takes nothing away.
        """
        if agent.via in ("bearer", "dpop"):
            return (yield from self._is_token_active(visit.authorization or ""))
        if agent.via == "signature":
            return self._signed is not None and (yield from self._signed.is_published(visit, agent))
        found = yield from self.sessions.recheck(visit)
        if found.agent is None:
            return isinstance(found.problem, ServerUnavailable)
        return (found.agent.issuer, found.agent.id) == (agent.issuer, agent.id)

    def _is_token_active(self, authorization: str) -> Flow[bool]:
        try:
            yield from self.bearers.resolve(authorization.partition(" ")[2].strip())
        except TokenRefused:
            return False
        except AuthError:
            return True
        return True

    def recognise_handshake(self, visit: Visit) -> Recognition:
        """Recognises the agent of a WebSocket's handshake.

        Any page can open a socket to this website with the browser's cookies, so a session counts
        only if the Origin is ours (RFC 6455 10.2).
        """
        authorization = visit.authorization
        if authorization is not None and is_bearer(authorization):
            return self.bearers.recognise(authorization)
        if authorization is not None and (found := self._by_header(visit, authorization)):
            return found
        if visit.header("origin") == self._base_url:
            return self._ambient.recognise(visit)
        found = NOBODY
        if any(visit.cookie(name) is not None for name in self._cookie_names):
            found = Recognised(None, problem=_foreign_handshake(self._base_url))
        if self._signed is None:
            return found
        return self._signed.recognise_handshake(visit, found)

    def _by_header(self, visit: Visit, authorization: str) -> Recognition | None:
        """Returns None if the header is none of ours, but the website's own."""
        if is_dpop(authorization):
            return self.bound_tokens.recognise(visit, authorization)
        return Recognised(None, problem=two_credentials()) if is_doubled(authorization) else None


def _signed_sessions(
    site: Site, store: Store | None, by_session: Callable[[Visit], Recognition]
) -> SignedSessions:
    from auth_agent.website.recognition.signatures.ambient import (  # noqa: PLC0415  # if asked for
        SignedSessions,
    )

    return SignedSessions(site, store, by_session)


class _NoSessions:
    """Ignores cookies: no browser signs in to this API."""

    def recognise(self, _visit: Visit) -> Recognised:
        return NOBODY


def _foreign_handshake(base_url: str) -> SignInRefused:
    return SignInRefused(
        "A WebSocket uses the session's cookie only if its handshake has this website's own "
        f"origin: open it with the header `Origin: {base_url}`.",
        code="origin_required",
        status_code=401,
    )
