"""What each setting may be: how its text is read, and what is wrong with it.

A converter raises `ValueError` with the problem; a check yields problems. The name of the variable
is put in front of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auth_agent.private_key import key_problem
from auth_agent.secret import Secret
from auth_agent.url import normal_origin, url_problem

if TYPE_CHECKING:
    from auth_agent.settings import Settings

ALGORITHMS = (
    "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
)  # fmt: skip
CLIENT_AUTH_METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
COOKIE_STORE = Secret("cookie")
MAX_LIFETIME = 30 * 86_400

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 3.3


def as_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    raise ValueError("must be text")


def _as_list(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise ValueError("must be a list or comma separated text")  # noqa: TRY004
    return tuple(item.strip() for item in items if item.strip())


def _as_secret(value: Any) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value) if value else None
    raise ValueError("must be text")


def _as_secrets(value: Any) -> tuple[Secret, ...]:
    items = [value] if isinstance(value, Secret) else value
    items = items.split(",") if isinstance(items, str) else items
    stripped = (item.strip() if isinstance(item, str) else item for item in items)
    return tuple(secret for item in stripped if (secret := _as_secret(item)) is not None)


def _as_seconds(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be a whole number of seconds, not {value!r}") from None


def _as_boolean(value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True,
             "false": False, "0": False, "no": False, "off": False}  # fmt: skip
    found = known.get(str(value).lower())
    if found is None:
        raise ValueError(f"must be true or false, not {value!r}")
    return found


def _as_key(value: Any) -> Secret | None:
    """A PEM text, or the path of a file that holds one."""
    secret = _as_secret(value)
    if secret is None or "-----BEGIN" in secret.reveal():
        return secret
    try:
        return Secret(Path(secret.reveal()).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise ValueError("is neither a PEM private key nor the path of a readable one") from None


def _as_store(value: Any) -> Secret:
    return _as_secret(value) or COOKIE_STORE


def _as_base_url(value: Any) -> str:
    text = str(as_text(value) or "")
    return normal_origin(text) if text and url_problem(text, origin=True) is None else text


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "client_secret": _as_secret,
    "secret": _as_secrets,
    "base_url": _as_base_url,
    "protect": _as_list,
    "algorithms": _as_list,
    "allow_models": _as_list,
    "deny_agents": _as_list,
    "session_lifetime": _as_seconds,
    "session_idle": _as_seconds,
    "bearer_recheck": _as_seconds,
    "report_only": _as_boolean,
    "client_key": _as_key,
    "session_store": _as_store,
}


def _check_issuer(settings: Settings) -> Iterator[str]:
    if not settings.issuer:
        yield "is missing: set it to the URL of your Auth Agent server, e.g. https://auth.example"
    elif problem := url_problem(settings.issuer):
        yield problem


def _check_client_id(settings: Settings) -> Iterator[str]:
    if not settings.client_id:
        yield "is missing: register this site with `auth-agent client add` and set what it prints"


def _check_client_secret(settings: Settings) -> Iterator[str]:
    by_secret = settings.client_auth in ("client_secret_basic", "client_secret_post")
    needless = settings.client_auth is not None or settings.client_key is not None
    if settings.client_secret is None and (by_secret or not needless):
        yield (
            "is missing: set what `auth-agent client add` printed, AUTH_AGENT_CLIENT_KEY, "
            "or AUTH_AGENT_CLIENT_AUTH=none for a public client"
        )


def _check_secret(settings: Settings) -> Iterator[str]:
    make = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'
    if not settings.secret:
        yield f"is missing: it protects the cookies; {make}"
    if any(len(secret.reveal()) < 32 for secret in settings.secret):
        yield f"holds a secret of fewer than 32 characters (a comma begins the next one); {make}"


def _check_base_url(settings: Settings) -> Iterator[str]:
    if not settings.base_url:
        yield "is missing: set it to the public origin of this website, e.g. https://shop.example"
    elif problem := url_problem(settings.base_url, origin=True):
        yield problem


def _check_scope(settings: Settings) -> Iterator[str]:
    if "openid" not in settings.scopes and settings.identity == "id_token":
        yield "must contain openid: without it the server sends no ID token"
    if not all(_SCOPE.fullmatch(scope) for scope in settings.scopes):
        yield "holds a character that a scope cannot hold; separate scopes by spaces"


def _check_protect(settings: Settings) -> Iterator[str]:
    for pattern in settings.protect:
        if not pattern.startswith("/"):
            yield f"pattern {pattern!r} must begin with a slash, e.g. /private/*"


def _check_prefix(settings: Settings) -> Iterator[str]:
    if not _PREFIX.fullmatch(settings.prefix):
        yield "must be a path such as /auth-agent, without a slash at its end"


def _check_audience(settings: Settings) -> Iterator[str]:
    if settings.audience is not None and (problem := url_problem(settings.audience)):
        yield problem


def _check_client_auth(settings: Settings) -> Iterator[str]:
    if settings.client_auth not in (None, *CLIENT_AUTH_METHODS):
        yield f"must be one of {', '.join(CLIENT_AUTH_METHODS)}"


def _check_client_key(settings: Settings) -> Iterator[str]:
    if settings.client_key is None:
        if settings.client_auth == "private_key_jwt":
            yield "is missing: private_key_jwt needs a private key (PEM) or its path"
    elif key_problem(settings.client_key):
        yield "is not a private key that can sign: EC (P-256, P-384, P-521), RSA or Ed25519"


def _check_identity(settings: Settings) -> Iterator[str]:
    if settings.identity not in ("id_token", "introspection"):
        yield "must be id_token, or introspection for a server of the original kind"


def _check_bearer_recheck(settings: Settings) -> Iterator[str]:
    if not 0 <= settings.bearer_recheck <= 86_400:
        yield "must be between 0 (never) and 86400 seconds"


def _check_session_store(settings: Settings) -> Iterator[str]:
    url = settings.session_store.reveal()
    if settings.session_store == COOKIE_STORE:
        return
    if not url.startswith(("redis://", "rediss://")):
        yield "must be cookie, or a URL that begins with redis:// or rediss://"
    elif find_spec("redis") is None:
        yield 'needs the package redis: pip install "auth-agent[redis]"'
    elif not _is_redis_url(url):
        yield "is not a URL of Redis, such as redis://user:password@host:6379/0"


def _is_redis_url(url: str) -> bool:
    from redis.connection import parse_url  # noqa: PLC0415

    try:
        parts: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        return bool(parts.get("host"))
    except (ValueError, TypeError):
        return False


def _check_algorithms(settings: Settings) -> Iterator[str]:
    wrong = [name for name in settings.algorithms if name not in ALGORITHMS]
    if wrong or not settings.algorithms:
        verb = f"may not hold {', '.join(wrong)}" if wrong else "is empty"
        yield f"{verb}: choose from {', '.join(ALGORITHMS)}"


def _check_userinfo(settings: Settings) -> Iterator[str]:
    if settings.userinfo not in ("auto", "always", "never"):
        yield "must be auto, always or never"


def _check_session_lifetime(settings: Settings) -> Iterator[str]:
    if not _is_lifetime(settings.session_lifetime):
        yield "must be between 60 seconds and 30 days"


def _check_session_idle(settings: Settings) -> Iterator[str]:
    lifetime = settings.session_lifetime
    longest = lifetime if _is_lifetime(lifetime) else MAX_LIFETIME
    if not 30 <= settings.session_idle <= longest:
        yield "must be at least 30 seconds and at most AUTH_AGENT_SESSION_LIFETIME"


def _is_lifetime(value: object) -> bool:
    return isinstance(value, int) and 60 <= value <= MAX_LIFETIME


CHECKS: dict[str, Callable[[Settings], Iterator[str]]] = {
    "issuer": _check_issuer,
    "client_id": _check_client_id,
    "client_secret": _check_client_secret,
    "secret": _check_secret,
    "base_url": _check_base_url,
    "scope": _check_scope,
    "protect": _check_protect,
    "prefix": _check_prefix,
    "audience": _check_audience,
    "client_auth": _check_client_auth,
    "algorithms": _check_algorithms,
    "userinfo": _check_userinfo,
    "session_lifetime": _check_session_lifetime,
    "session_idle": _check_session_idle,
    "client_key": _check_client_key,
    "identity": _check_identity,
    "bearer_recheck": _check_bearer_recheck,
    "session_store": _check_session_store,
}
