"""The settings of a server: frozen, checked at birth, every mistake reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret

from .urls import is_loopback, issuer_problem, smtp_problem

PREFIX = "AUTH_AGENT_SERVER_"
DEFAULT_DATABASE = "sqlite:///auth-agent.db"
DEFAULT_SCOPES = ("openid", "profile", "email", "agent")
ALGORITHMS = ("ES256", "RS256", "EdDSA")
DAY = 86_400
LOG_FORMATS = ("text", "json")
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

# Field, lowest and highest allowed value; all in seconds but the last, which is in bytes.
_NUMBERS = {
    "request_lifetime": (30, 3_600),
    "code_lifetime": (5, 60),
    "access_token_lifetime": (60, DAY),
    "id_token_lifetime": (60, DAY),
    "refresh_token_lifetime": (300, 365 * DAY),
    "family_lifetime": (300, 730 * DAY),
    "second_factor_lifetime": (60, 3_600),
    "mailed_code_lifetime": (60, 3_600),
    "session_idle": (60, DAY),
    "session_lifetime": (300, 30 * DAY),
    "max_body": (1_024, 1_048_576),
}


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Everything the server is told; each field is `AUTH_AGENT_SERVER_<FIELD>` in the environment.

    Lifetimes are in seconds. `secrets` (variable `_SECRET`) is newest first; it may be empty
    only where a loopback issuer keeps a secret beside its SQLite file. `session_idle` and
    `session_lifetime` are those of administrators and owners in the console. Without `smtp_url`
    a loopback issuer prints its mail and any other sends none.
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
    max_body: int = 65_536
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
        if database := environ.get(PREFIX + "DATABASE"):
            values["database"] = database
        if secret := environ.get(PREFIX + "SECRET"):
            values["secrets"] = tuple(Secret(s.strip()) for s in secret.split(",") if s.strip())
        if scopes := environ.get(PREFIX + "SCOPES"):
            values["scopes"] = tuple(dict.fromkeys((*DEFAULT_SCOPES, *scopes.split())))
        if algorithm := environ.get(PREFIX + "SIGNING_ALGORITHM"):
            values["signing_algorithm"] = algorithm
        if synchronous := environ.get(PREFIX + "SQLITE_SYNCHRONOUS"):
            values["sqlite_synchronous"] = synchronous.upper()
        values |= _mail_and_operations(environ)
        for field in _NUMBERS:
            name = PREFIX + field.upper()
            if not (text := environ.get(name)):
                continue
            if text.isascii() and text.isdigit():
                values[field] = int(text)
            else:
                problems.append(f"{name} is not a number; write digits only, e.g. 600")
        compat = environ.get(PREFIX + "UPSTREAM_COMPAT", "").lower()
        if compat in ("1", "true", "yes"):
            values["upstream_compat"] = True
        elif compat not in ("", "0", "false", "no"):
            problems.append(f"{PREFIX}UPSTREAM_COMPAT is neither true nor false; write one of them")
        return _born(values, problems)

    @property
    def is_loopback(self) -> bool:
        return is_loopback(urlsplit(self.issuer).hostname or "")

    @property
    def is_https(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def path(self) -> str:
        """The issuer's path, empty for most; every public address starts with it."""
        return urlsplit(self.issuer).path


def _mail_and_operations(environ: Mapping[str, str]) -> dict[str, object]:
    """What is taken as it is written; the secrets among it in their type."""
    values: dict[str, object] = {}
    for field in ("smtp_url", "metrics_token"):
        if text := environ.get(PREFIX + field.upper(), ""):
            values[field] = Secret(text)
    for field in ("mail_from", "log_format"):
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
    for field, (low, high) in _NUMBERS.items():
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
