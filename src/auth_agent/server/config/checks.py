"""The checks on a server's settings; each problem names its variable and the remedy."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from auth_agent.protocol.details import TYPE as DETAILS_TYPE
from auth_agent.server.bounds import NUMBERS
from auth_agent.server.config.fields import DEFAULT_DATABASE, Fields
from auth_agent.server.web.hosts import HOST_NAME
from auth_agent.server.web.proxies import proxy_problem
from auth_agent.server.web.urls import issuer_problem, smtp_problem

PREFIX = "AUTH_AGENT_SERVER_"
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg")
ALGORITHMS = ("ES256", "RS256", "EdDSA")
LOG_FORMATS = ("text", "json")
APPROVALS = ("off", "notify", "first", "always")  # when an agent's owner is asked
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# A name below a top-level domain or `localhost`, or an IPv6 address, and a port.
_HOST = re.compile(r"((localhost|[a-z0-9_-]+(\.[a-z0-9_-]+)+)|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}")


def settings_problems(settings: Fields) -> list[str]:
    problems = list(_issuer_problems(settings))
    problems += _secret_problems(settings)
    if problem := database_problem(settings.database):
        problems.append(f"{PREFIX}DATABASE {problem}")
    for field, (low, high) in NUMBERS.items():
        if not low <= getattr(settings, field) <= high:
            name = PREFIX + field.upper()
            problems.append(f"{name} is out of range; choose a value from {low} to {high}")
    if settings.refresh_token_lifetime > settings.family_lifetime:
        problems.append(
            f"{PREFIX}FAMILY_LIFETIME is shorter than {PREFIX}REFRESH_TOKEN_LIFETIME; make it at "
            "least as long"
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
            f"{PREFIX}SCOPES contains a character that a scope cannot have; use plain ASCII words"
        )
    return problems


def database_problem(url: str) -> str | None:
    """Returns the problem of a database's URL, of which it quotes the scheme alone; or None."""
    from sqlalchemy import make_url  # noqa: PLC0415  (slow to import)
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    write = (
        f"write {DEFAULT_DATABASE} (SQLite) or postgresql://user:password@host/name (PostgreSQL)"
    )
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return f"is not a database URL; {write}"
    if parsed.drivername not in DRIVERS:
        return f"begins with {parsed.drivername[:40]}://, which is not supported; {write}"
    if "@" in (parsed.host or ""):
        return "has an @ in its user name or password; write it as %40"
    return None


def _is_redis(url: str) -> bool:
    try:
        _port = urlsplit(url).port
    except ValueError:
        return False
    return url.startswith(("redis://", "rediss://", "redis+unix://"))


def _operations_problems(settings: Fields) -> list[str]:
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


def _abuse_problems(settings: Fields) -> list[str]:
    problems = [
        f"{PREFIX}TRUSTED_PROXIES {problem}"
        for proxy in settings.trusted_proxies
        if (problem := proxy_problem(proxy))
    ]
    problems += [
        f"{PREFIX}ALLOWED_HOSTS contains {host!r}, not a host name; write e.g. id.internal"
        for host in settings.allowed_hosts
        if not HOST_NAME.fullmatch(host)
    ]
    problems += [
        f"{PREFIX}AUTHORIZATION_DETAILS_TYPES contains {name!r}, not a type; write e.g. payment"
        for name in settings.authorization_details_types
        if not DETAILS_TYPE.fullmatch(name)
    ]
    if settings.approval not in APPROVALS:
        problems.append(f"{PREFIX}APPROVAL is unknown; choose one of {', '.join(APPROVALS)}")
    if settings.redis and not _is_redis(settings.redis.reveal()):
        problems.append(f"{PREFIX}REDIS is not a Redis URL; write e.g. redis://127.0.0.1:6379/0")
    if settings.agent_registration not in ("", "off", "token", "open"):
        problems.append(f"{PREFIX}AGENT_REGISTRATION is unknown; choose off, token or open")
    if settings.client_registration not in ("", "off", "token", "open"):
        problems.append(f"{PREFIX}CLIENT_REGISTRATION is unknown; choose off, token or open")
    if settings.client_registration == "token" and not settings.registration_token:
        problems.append(
            f"{PREFIX}REGISTRATION_TOKEN is missing; CLIENT_REGISTRATION=token needs it"
        )
    if isinstance(settings.client_documents, tuple):
        problems += [
            f"{PREFIX}CLIENT_DOCUMENTS: {host!r} is not a host; write e.g. app.example, or *"
            for host in settings.client_documents
            if host != "*" and not _HOST.fullmatch(host)
        ]
    if settings.agent_registration == "token" and not settings.registration_token:
        problems.append(f"{PREFIX}REGISTRATION_TOKEN is missing; AGENT_REGISTRATION=token needs it")
    if settings.registration_token and len(settings.registration_token.reveal()) < 16:
        problems.append(f"{PREFIX}REGISTRATION_TOKEN is shorter than 16 characters; lengthen it")
    return problems


def _issuer_problems(settings: Fields) -> list[str]:
    name = PREFIX + "ISSUER"
    if not settings.issuer:
        return [f"{name} is missing; set it to this server's public URL, e.g. https://id.example"]
    if problem := issuer_problem(settings.issuer):
        return [f"{name} {problem}"]
    if settings.upstream_compat and not settings.is_loopback:
        return [
            f"{PREFIX}UPSTREAM_COMPAT gives codes to anyone who knows a request ID; it is only "
            "allowed on a loopback issuer. Elsewhere set it for single clients (auth-agent "
            "client add --upstream-compat)"
        ]
    return []


def _secret_problems(settings: Fields) -> list[str]:
    name = PREFIX + "SECRET"
    remedy = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
    if any(len(secret.reveal()) < 32 for secret in settings.secrets):
        return [f"{name} contains a secret shorter than 32 characters; {remedy}"]
    keeps_a_file = settings.database.startswith("sqlite")
    if settings.secrets or (settings.is_loopback and keeps_a_file):
        return []
    return [f"{name} is missing; it protects signing keys and codes; {remedy}"]
