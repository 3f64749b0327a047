"""The fields of a website's settings, and values derived from them; without checks."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import msgspec

from auth_agent.protocol.client_auth import Client, ClientAuth
from auth_agent.protocol.jose.algorithms import ALGORITHMS
from auth_agent.secret import Secret
from auth_agent.url import home_of
from auth_agent.website.config.converters import COOKIE_STORE


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a website; `Settings` documents them."""

    issuer: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    secret: tuple[Secret, ...] = ()
    base_url: str = ""
    sign_in: bool = True
    scope: str = "openid profile email"
    api_scopes: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    prefix: str = "/auth-agent"
    audience: str | None = None
    client_auth: ClientAuth | None = None
    client_key: Secret | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    trusted_audiences: tuple[str, ...] = ()
    userinfo: Literal["auto", "always", "never"] = "auto"
    identity: Literal["id_token", "introspection"] = "id_token"
    bearer_recheck: int = 60
    dpop: Literal["accept", "require"] = "accept"
    signatures: tuple[str, ...] = ()
    report_only: bool = False
    dangerously_allow_cross_site: bool = False
    session_store: Secret = COOKIE_STORE
    session_lifetime: int = 28_800
    session_idle: int = 3_600
    allow_models: tuple[str, ...] | None = None
    deny_agents: tuple[str, ...] = ()

    @property
    def redirect_uri(self) -> str:
        return f"{self.base_url}{self.prefix}/callback"

    @property
    def store_url(self) -> str | None:
        """Returns the URL of the session store; None if sessions are in the browser's cookie."""
        return None if self.session_store == COOKIE_STORE else self.session_store.reveal()

    @property
    def expected_audience(self) -> str:
        """Returns the audience that a bearer token for this site must have."""
        return self.audience or self.base_url

    @property
    def has_client(self) -> bool:
        """Returns True if the website can authenticate to its server, and so introspect tokens."""
        return bool(self.client_id)

    @property
    def secure(self) -> bool:
        """Returns True if the site is on https; otherwise it is on a loopback host."""
        return self.base_url.startswith("https:")

    @property
    def client(self) -> Client:
        """Returns the website's client credentials at its server."""
        return Client(
            id=self.client_id,
            issuer=self.issuer,
            secret=self.client_secret,
            key=self.client_key,
            method=self.client_auth,
        )

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())

    @property
    def home(self) -> str:
        """Returns the website's start page, which is not `/` if it lives below a path."""
        return home_of(self.prefix)

    def login_path(
        self, next_path: str, *, max_age: int | None = None, approved: bool = False
    ) -> str:
        """Returns the path that starts a sign-in and then returns to a path of this website.

        `max_age` is the greatest age of the agent's authentication at the server, in seconds;
        `approved` asks for the approval of the agent's owner.
        """
        more = "" if max_age is None else f"&max_age={max_age}"
        more += "&approved=1" if approved else ""
        return f"{self.prefix}/login?next={quote(next_path, safe='/')}{more}"
