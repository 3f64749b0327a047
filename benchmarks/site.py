"""A website with a server in process, for the benchmarks."""

from __future__ import annotations

from typing import Any

from auth_agent import RelyingParty, Settings
from auth_agent.flow.drive import run
from auth_agent.flow.exchange import HttpRequest
from auth_agent.protocol.jose.jwks import parse_jwks
from auth_agent.protocol.metadata import parse_metadata
from auth_agent.protocol.snapshot import Fetched
from auth_agent.protocol.token import Tokens
from auth_agent.testing import FakeServer
from auth_agent.website.recognition.session import open_session, session_cookie


class Site:
    """The relying party, and sessions and tokens for it."""

    def __init__(self) -> None:
        self.server = FakeServer()
        settings = Settings(
            issuer=self.server.issuer,
            client_id=self.server.client_id,
            client_secret=self.server.client_secret,
            secret="a secret of the website that is long enough",
            base_url="https://shop.example",
        )
        self.relying_party = RelyingParty(settings)
        learn_keys(self.relying_party, self.server)

    def cookie(self) -> str:
        """Returns the cookie of a new session at every call."""
        site = self.relying_party._site
        claims: dict[str, Any] = {**self.server.agent, "auth_time": int(site.clock())}
        tokens = Tokens(
            access_token="at_x", id_token=None, refresh_token="rt_" + "x" * 43, scopes=None,
            expires_in=3600,
        )  # fmt: skip
        made = session_cookie(open_session(claims, tokens, site), site)
        return f"{made.name}={made.value}"


def learn_keys(relying_party: RelyingParty, server: FakeServer) -> None:
    """Fills the caches that a running site has."""
    provider = relying_party._site.provider
    issuer = server.issuer
    metadata = server.answer(HttpRequest("GET", f"{issuer}/.well-known/oauth-authorization-server"))
    keys = server.answer(HttpRequest("GET", f"{issuer}/.well-known/jwks.json"))
    provider._metadata._fetch = _answering(parse_metadata(metadata, issuer=issuer))
    provider._keys._fetch = _answering(parse_jwks(keys))
    run(provider.metadata())
    run(provider._keys.get())


def _answering(value: Any) -> Any:
    """Returns a fetch that needs no server."""

    def fetch() -> Any:
        yield from ()
        return Fetched(value, 3600.0)

    return fetch
