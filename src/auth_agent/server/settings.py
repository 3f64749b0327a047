"""The settings of a server: frozen, checked at birth, every mistake reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY, NUMBERS
from auth_agent.server.web.proxies import proxy_problem
from auth_agent.server.web.urls import issuer_problem, smtp_problem
from auth_agent.url import is_loopback

PREFIX = "AUTH_AGENT_SERVER_"
DEFAULT_DATABASE = "sqlite:///auth-agent.db"
DEFAULT_SCOPES = ("openid", "profile", "email", "agent")
ALGORITHMS = ("ES256", "RS256", "EdDSA")
LOG_FORMATS = ("text", "json")
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


_PLAIN = (
    *("database", "sqlite_synchronous", "signing_algorithm"),
    *("mail_from", "log_format", "agent_registration"),
)


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Everything the server is told; each field is `AUTH_AGENT_SERVER_<FIELD>` in the environment.

    Lifetimes are in seconds. `secrets` (variable `_SECRET`) is newest first; it may be empty
    only where a loopback issuer keeps a secret beside its SQLite file. `session_idle` and
    `session_lifetime` are those of administrators and owners in the console. Without `smtp_url`
    a loopback issuer prints its mail and any other sends none. What each `limit_` counts is said
    in `limits.py`. `agent_registration` is off, token or open (empty: open on a loopback issuer,
    off elsewhere).
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
    mailed_code_lifetime: int = 900
    session_idle: int = 1_800
    session_lifetime: int = 43_200
    challenge_lifetime: int = 300
    refusal_retention: int = 30 * DAY
    audit_retention: int = 730 * DAY
    event_retention: int = 30 * DAY
    max_events: int = 1_000_000
    max_body: int = 65_536
    redis: Secret = Secret("")
    trusted_proxies: tuple[str, ...] = ()
    limit_agent_failures: int = 10
    limit_client_failures: int = 30
    limit_unknown_requests: int = 60
    limit_registrations: int = 5
    limit_refreshes: int = 60
    limit_calls: int = 1_000
    limit_refusal_records: int = 600
    limit_pending: int = 1_000
    agent_registration: str = ""
    registration_token: Secret = Secret("")
    client_documents: bool = False
    upstream_compat: bool = False
    smtp_url: Secret = Secret("")
    mail_from: str = ""
    log_format: str = "text"
    metrics_token: Secret = Secret("")

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise SettingsError(problems)

    def __repr__(self) -> str:
        # The database URL may hold a password, and a long repr helps nobody.
        return f"ServerSettings(issuer={self.issuer!r}, secrets={self.secrets!r}, ...)"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServerSettings:
        """Reads `AUTH_AGENT_SERVER_*`; SettingsError lists all mistakes with their remedies."""
        problems: list[str] = []
        values: dict[str, object] = {"issuer": environ.get(PREFIX + "ISSUER", "")}
        if secret := environ.get(PREFIX + "SECRET"):
            values["secrets"] = tuple(Secret(s.strip()) for s in secret.split(",") if s.strip())
        if scopes := environ.get(PREFIX + "SCOPES"):
            values["scopes"] = tuple(dict.fromkeys((*DEFAULT_SCOPES, *scopes.split())))
        if proxies := environ.get(PREFIX + "TRUSTED_PROXIES"):
            values["trusted_proxies"] = tuple(p.strip() for p in proxies.split(",") if p.strip())
        values |= _as_written(environ)
        for field in NUMBERS:
            name = PREFIX + field.upper()
            if not (text := environ.get(name)):
                continue
            if text.isascii() and text.isdigit():
                values[field] = int(text)
            else:
                problems.append(f"{name} is not a number; write digits only, e.g. 600")
        for field in ("upstream_compat", "client_documents"):
            name = PREFIX + field.upper()
            said = environ.get(name, "").lower()
            if said in ("1", "true", "yes"):
                values[field] = True
            elif said not in ("", "0", "false", "no"):
                problems.append(f"{name} is neither true nor false; write one of them")
        return _born(values, problems)

    @property
    def is_loopback(self) -> bool:
        return is_loopback(urlsplit(self.issuer).hostname or "")

    @property
    def registers_agents(self) -> str:
        """off, token or open."""
        return self.agent_registration or ("open" if self.is_loopback else "off")

    @property
    def is_https(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def path(self) -> str:
        """The issuer's path, empty for most; every public address starts with it."""
        return urlsplit(self.issuer).path


def _as_written(environ: Mapping[str, str]) -> dict[str, object]:
    """What is taken as it is written; the secrets among it in their type."""
    values: dict[str, object] = {}
    for field in ("smtp_url", "metrics_token", "redis", "registration_token"):
        if text := environ.get(PREFIX + field.upper(), ""):
            values[field] = Secret(text)
    for field in _PLAIN:
        if text := environ.get(PREFIX + field.upper(), ""):
            values[field] = text
    return values


def _born(values: dict[str, object], problems: list[str]) -> ServerSettings:
    try:
        settings = ServerSettings(**values)  # type: ignore[arg-type]
    except SettingsError as error:
        raise SettingsError([*problems, *error.problems]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _problems(settings: ServerSettings) -> list[str]:
    problems = list(_issuer_problems(settings))
    problems += _secret_problems(settings)
    if "://" not in settings.database:
        problems.append(f"{PREFIX}DATABASE is not a database URL; write e.g. {DEFAULT_DATABASE}")
    for field, (low, high) in NUMBERS.items():
        if not low <= getattr(settings, field) <= high:
            name = PREFIX + field.upper()
            problems.append(f"{name} is out of range; choose a value from {low} to {high}")
    if settings.refresh_token_lifetime > settings.family_lifetime:
        problems.append(
            f"{PREFIX}FAMILY_LIFETIME is shorter than {PREFIX}REFRESH_TOKEN_LIFETIME; "
            "a family has to outlive its refresh tokens"
        )
    if settings.signing_algorithm not in ALGORITHMS:
        problems.append(
            f"{PREFIX}SIGNING_ALGORITHM is not supported; choose one of {', '.join(ALGORITHMS)}"
        )
    problems += _operations_problems(settings)
    problems += _abuse_problems(settings)
    if settings.sqlite_synchronous not in ("NORMAL", "FULL"):
        problems.append(f"{PREFIX}SQLITE_SYNCHRONOUS is neither NORMAL nor FULL; write one of them")
    if any(not SCOPE_TOKEN.fullmatch(scope) for scope in settings.scopes):
        problems.append(
            f"{PREFIX}SCOPES holds a character that no scope has; use plain ASCII words"
        )
    return problems


def _operations_problems(settings: ServerSettings) -> list[str]:
    problems = []
    if settings.smtp_url and (problem := smtp_problem(settings.smtp_url.reveal())):
        problems.append(f"{PREFIX}SMTP_URL {problem}")
    if settings.mail_from and not _ADDRESS.fullmatch(settings.mail_from):
        problems.append(f"{PREFIX}MAIL_FROM is not an e-mail address; write e.g. id@shop.example")
    if settings.log_format not in LOG_FORMATS:
        problems.append(f"{PREFIX}LOG_FORMAT is unknown; choose one of {', '.join(LOG_FORMATS)}")
    if settings.metrics_token and len(settings.metrics_token.reveal()) < 16:
        problems.append(f"{PREFIX}METRICS_TOKEN is shorter than 16 characters; make it longer")
    if settings.session_idle > settings.session_lifetime:
        problems.append(f"{PREFIX}SESSION_IDLE is over {PREFIX}SESSION_LIFETIME; make it shorter")
    return problems


def _abuse_problems(settings: ServerSettings) -> list[str]:
    problems = [
        f"{PREFIX}TRUSTED_PROXIES {problem}"
        for proxy in settings.trusted_proxies
        if (problem := proxy_problem(proxy))
    ]
    redis = settings.redis.reveal()
    if redis and not redis.startswith(("redis://", "rediss://", "redis+unix://")):
        problems.append(f"{PREFIX}REDIS is not a Redis URL; write e.g. redis://127.0.0.1:6379/0")
    if settings.agent_registration not in ("", "off", "token", "open"):
        problems.append(f"{PREFIX}AGENT_REGISTRATION is unknown; choose off, token or open")
    if settings.agent_registration == "token" and not settings.registration_token:
        problems.append(f"{PREFIX}REGISTRATION_TOKEN is missing; AGENT_REGISTRATION=token needs it")
    if settings.registration_token and len(settings.registration_token.reveal()) < 16:
        problems.append(f"{PREFIX}REGISTRATION_TOKEN is shorter than 16 characters; lengthen it")
    return problems


def _issuer_problems(settings: ServerSettings) -> list[str]:
    name = PREFIX + "ISSUER"
    if not settings.issuer:
        return [f"{name} is missing; set it to this server's public URL, e.g. https://id.example"]
    if problem := issuer_problem(settings.issuer):
        return [f"{name} {problem}"]
    if settings.upstream_compat and not settings.is_loopback:
        return [
            f"{PREFIX}UPSTREAM_COMPAT gives codes to anybody who asks; it is allowed on a loopback "
            "issuer only, elsewhere make it a property of single clients (client add)"
        ]
    return []


def _secret_problems(settings: ServerSettings) -> list[str]:
    name = PREFIX + "SECRET"
    remedy = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
    if any(len(secret.reveal()) < 32 for secret in settings.secrets):
        return [f"{name} holds a secret shorter than 32 characters; {remedy}"]
    keeps_a_file = settings.database.startswith("sqlite")
    if settings.secrets or (settings.is_loopback and keeps_a_file):
        return []
    return [f"{name} is missing; it protects signing keys and codes; {remedy}"]
