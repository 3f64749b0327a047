"""The fields of a server's settings, and values derived from them; without checks."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from msgspec import Struct

from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.url import is_loopback

DEFAULT_DATABASE = "sqlite:///auth-agent.db"
DEFAULT_SCOPES = ("openid", "profile", "email", "agent")


class Fields(Struct, frozen=True, kw_only=True):
    """The settings of a server; `make reference` writes the page that lists them.

    Lifetimes are in seconds. `secrets` (variable `_SECRET`) is newest first; it may be empty only
    if a loopback issuer keeps a secret beside its SQLite file.
    """

    issuer: str
    """The public URL of the server. Required, except that `serve` on a loopback host makes one."""
    database: str = DEFAULT_DATABASE
    """The database URL; PostgreSQL as `postgresql://user@host/name`."""
    sqlite_synchronous: str = "NORMAL"
    """`NORMAL`, or `FULL`: after a power cut nothing is lost that the server had answered."""
    secrets: tuple[Secret, ...] = ()
    """Secrets that protect signing keys and codes, newest first, each of 32 characters or more;
    only a loopback issuer on SQLite makes its own.
    """
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    """Further scopes that websites can ask for, added to the default ones."""
    signing_algorithm: str = "ES256"
    """`ES256`, `RS256` or `EdDSA`; a change makes a new key."""
    request_lifetime: int = 600
    """How long a sign-in waits for its agent."""
    code_lifetime: int = 60
    """How long an authorization code is valid."""
    access_token_lifetime: int = 3_600
    """How long an access token is valid."""
    id_token_lifetime: int = 3_600
    """How long an ID token is valid."""
    refresh_token_lifetime: int = 30 * DAY
    """How long a refresh token is valid; each use gives a new one."""
    family_lifetime: int = 90 * DAY
    """All tokens of one sign-in end after this time, however often they were refreshed."""
    second_factor_lifetime: int = 300
    """How long a mailed code of the second factor is valid."""
    approval: str = "notify"
    """When agents' owners are asked: `off`, `notify` (a mail at an agent's first sign-in at a
    website), `first` (approve each website once) or `always`; an agent's own setting takes
    precedence.
    """
    approval_lifetime: int = 600
    """How long a request waits for the owner."""
    mailed_code_lifetime: int = 900
    """How long the mailed code or link is valid that an owner signs in with."""
    session_idle: int = 1_800
    """Console and owners' pages: signed out after this time without a request."""
    session_lifetime: int = 43_200
    """Console and owners' pages: signed out after this time in any case."""
    challenge_lifetime: int = 300
    """How long a challenge is valid with which a website verifies that the agent answers."""
    refusal_retention: int = 30 * DAY
    """Audit lines about refusals are deleted after this time."""
    audit_retention: int = 730 * DAY
    """All other audit lines are deleted after this time."""
    event_retention: int = 30 * DAY
    """Events that agents report are deleted after this time."""
    max_events: int = 1_000_000
    """Events that are kept; the oldest are deleted first."""
    max_agent_events: int = 10_000
    """Events of one agent that are kept; the oldest are deleted first."""
    max_body: int = 65_536
    """The longest request body, in bytes."""
    redis: Secret = Secret("")
    """`redis://…`: several workers count rate limits together."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose `X-Forwarded-For` is used."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names, comma separated, that a loopback server answers to; it answers 421 to all
    others.
    """
    limit_agent_failures: int = 10
    """Failed authentications per minute, agent and address."""
    limit_client_failures: int = 30
    """Failed authentications per minute, website and address."""
    limit_address_failures: int = 60
    """Failed authentications per minute and address, of all agents and websites together."""
    limit_unknown_requests: int = 60
    """Unknown request ids and new client documents per minute and address."""
    limit_registrations: int = 5
    """Registrations per hour and address."""
    limit_refreshes: int = 60
    """Refreshes per hour and sign-in."""
    limit_calls: int = 1_000
    """Calls of the agent's own API per hour."""
    limit_agent_successes: int = 300
    """Approved sign-ins and tokens of one agent per minute and process."""
    limit_refusal_records: int = 600
    """Audit lines about refusals per minute and process."""
    limit_pending: int = 1_000
    """Sign-ins that wait for an agent, per address; ten times as many per IPv6 /48."""
    agent_registration: str = ""
    """Whether agents can register themselves: `off`, `token` or `open`; empty: open on a loopback
    issuer, off elsewhere.
    """
    registration_token: Secret = Secret("")
    """Bearer token for registering clients (RFC 7591) and, with `token`, agents; 16 characters or
    more.
    """
    client_registration: str = ""
    """Which clients can register themselves at `/register`: none (`off`), those with the
    registration token (`token`), all (`open`); empty: `token` if there is one, otherwise open on a
    loopback issuer and off elsewhere.
    """
    client_documents: bool | tuple[str, ...] = ("*",)
    """Hosts whose client ID metadata documents are clients, comma separated; `*` for all, empty for
    none.
    """
    authorization_details_types: tuple[str, ...] = ()
    """Types of `authorization_details` that websites can send, comma separated; empty for any type.
    """
    upstream_compat: bool = False
    """UNSAFE, loopback issuer only: anyone who knows a request ID gets its code."""
    dpop_nonce: bool = False
    """Proofs (DPoP) must contain a nonce of this server, at most two minutes old."""
    smtp_url: Secret = Secret("")
    """`smtps://user:password@host`; empty: a loopback issuer prints its mail, any other sends none.
    """
    mail_from: str = ""
    """Sender of the mail; empty: `auth-agent@` and the issuer's host."""
    log_format: str = "text"
    """`text` or `json`."""
    metrics_token: Secret = Secret("")
    """Bearer token for `/metrics`; empty: this machine only, on a loopback issuer."""

    @property
    def is_loopback(self) -> bool:
        return _is_on_loopback(self.issuer)

    @property
    def registers_agents(self) -> str:
        """Returns how agents may register: off, token or open."""
        return self.agent_registration or ("open" if self.is_loopback else "off")

    @property
    def registers_clients(self) -> str:
        """Returns how clients may register: off, token or open."""
        by_default = "open" if self.is_loopback else "off"
        return self.client_registration or ("token" if self.registration_token else by_default)

    @property
    def is_https(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def path(self) -> str:
        """Returns the issuer's path, mostly empty; every public address starts with it."""
        return urlsplit(self.issuer).path


@functools.lru_cache(64)
def _is_on_loopback(issuer: str) -> bool:
    return is_loopback(urlsplit(issuer).hostname or "")
