"""The fields of a server's settings, and values derived from them; without checks."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.url import is_loopback

DEFAULT_DATABASE = "sqlite:///auth-agent.db"
DEFAULT_SCOPES = ("openid", "profile", "email", "agent")


class Fields(Struct, frozen=True, kw_only=True):
    """The settings of a server; `docs/reference/settings.md` explains each field.

    Lifetimes are in seconds. `secrets` (variable `_SECRET`) is newest first; it may be empty only
    if a loopback issuer keeps a secret beside its SQLite file.
    """

    issuer: str
    database: str = DEFAULT_DATABASE
    sqlite_synchronous: str = "NORMAL"
    secrets: tuple[Secret, ...] = ()
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    signing_algorithm: str = "ES256"
    request_lifetime: int = 600
    code_lifetime: int = 60
    access_token_lifetime: int = 3_600
    id_token_lifetime: int = 3_600
    refresh_token_lifetime: int = 30 * DAY
    family_lifetime: int = 90 * DAY
    second_factor_lifetime: int = 300
    approval: str = "notify"
    approval_lifetime: int = 600
    mailed_code_lifetime: int = 900
    session_idle: int = 1_800
    session_lifetime: int = 43_200
    challenge_lifetime: int = 300
    refusal_retention: int = 30 * DAY
    audit_retention: int = 730 * DAY
    event_retention: int = 30 * DAY
    max_events: int = 1_000_000
    max_agent_events: int = 10_000
    max_body: int = 65_536
    redis: Secret = Secret("")
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    limit_agent_failures: int = 10
    limit_client_failures: int = 30
    limit_address_failures: int = 60
    limit_unknown_requests: int = 60
    limit_registrations: int = 5
    limit_refreshes: int = 60
    limit_calls: int = 1_000
    limit_agent_successes: int = 300
    limit_refusal_records: int = 600
    limit_pending: int = 1_000
    agent_registration: str = ""
    registration_token: Secret = Secret("")
    client_registration: str = ""
    client_documents: bool | tuple[str, ...] = ("*",)
    authorization_details_types: tuple[str, ...] = ()
    upstream_compat: bool = False
    dpop_nonce: bool = False
    smtp_url: Secret = Secret("")
    mail_from: str = ""
    log_format: str = "text"
    metrics_token: Secret = Secret("")

    @property
    def is_loopback(self) -> bool:
        return is_loopback(urlsplit(self.issuer).hostname or "")

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
