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
    """The URL of your Auth Agent server. Required."""
    client_id: str = ""
    """The website's client ID at that server. Required, unless `SIGN_IN` is `false`."""
    client_secret: Secret | None = None
    """The client's secret. Required, unless there is a key or `CLIENT_AUTH` is `none`."""
    secret: tuple[Secret, ...] = ()
    """The secrets that protect cookies, comma separated, newest first, 32 characters or more each.
    Required, unless `SIGN_IN` is `false`.
    """
    base_url: str = ""
    """The public origin of the website, without a path, e.g. `https://shop.example`. Required."""
    sign_in: bool = True
    """`false` for an API that accepts tokens only: it has no login, no session and needs no client.
    """
    scope: str = "openid profile email"
    """The scopes that a sign-in asks for."""
    api_scopes: tuple[str, ...] = ()
    """The scopes of this website's API, named in its resource metadata."""
    protect: tuple[str, ...] = ()
    """Path patterns that need an agent, comma separated, e.g. `/private/*`. Each covers everything
    below it; upper and lower case are the same.
    """
    prefix: str = "/auth-agent"
    """Where `login`, `callback`, `logout` and `backchannel-logout` live."""
    audience: str | None = None
    """The `aud` expected in bearer tokens; empty: the base URL. It is sent as `resource` only if it
    is set.
    """
    client_auth: ClientAuth | None = None
    """How the website authenticates to the server: `private_key_jwt`, `client_secret_basic`,
    `client_secret_post` or `none`; empty: chosen by the server's metadata.
    """
    client_key: Secret | None = None
    """The private key for `private_key_jwt`: PEM, or the path of a file that only its owner can
    read.
    """
    algorithms: tuple[str, ...] = ALGORITHMS
    """The signature algorithms that the website accepts."""
    trusted_audiences: tuple[str, ...] = ()
    """Audiences that an ID token can have beside the client, comma separated."""
    userinfo: Literal["auto", "always", "never"] = "auto"
    """When to ask userinfo: `always`, `never`, or `auto` (if the ID token does not contain the
    e-mail that was granted).
    """
    identity: Literal["id_token", "introspection"] = "id_token"
    """`introspection` for the original Auth Agent server, which issues no signed tokens."""
    bearer_recheck: int = 60
    """How long (in seconds) a bearer token is trusted before it is checked with the server, and how
    often after that; 0 turns this off.
    """
    dpop: Literal["accept", "require"] = "accept"
    """Tokens that are bound to a key (DPoP, RFC 9449): `accept` them beside others, or `require`
    them, so that a stolen token is worth nothing.
    """
    signatures: tuple[str, ...] = ()
    """Signed requests (Web Bot Auth) that count as agents, by the signature agent's name: comma
    separated patterns, `issuer` for the agents of `AUTH_AGENT_ISSUER`, `*` for all; see [Which
    agents can come in](../websites/which-agents.md).
    """
    report_only: bool = False
    """Log what the policy would refuse, and let it pass: views then get requests without an agent.
    """
    dangerously_allow_cross_site: bool = False
    """Lets pages of other websites of your domain send POST, PUT, PATCH and DELETE with the agent's
    cookie to what `PROTECT` guards.
    """
    session_store: Secret = COOKIE_STORE
    """`cookie`, or `redis://…` for sessions that can be ended from outside."""
    session_lifetime: int = 28_800
    """Seconds until an agent must sign in again."""
    session_idle: int = 3_600
    """Seconds without a request after which a session ends. A session in a cookie can end after
    half of that time, because the cookie is not written at every request.
    """
    allow_models: tuple[str, ...] | None = None
    """Comma separated patterns: only these models can sign in. An empty list in code admits none.
    """
    deny_agents: tuple[str, ...] = ()
    """Comma separated patterns of agent IDs that are refused."""
    stylesheet: str = ""
    """The website's own style for the pages that the middleware shows: a path of this website that
    everyone can read, e.g. `/static/auth-agent.css`, or an https URL; see [Look and
    feel](../websites/look.md).
    """

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
