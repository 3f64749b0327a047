"""Checks on settings; each yields problems, to which the variable's name is prefixed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from auth_agent.extras import install_hint
from auth_agent.protocol.client_auth import METHODS
from auth_agent.protocol.jose.algorithms import ALGORITHMS
from auth_agent.protocol.jose.private_key import key_problem
from auth_agent.protocol.signatures.agents import pattern_problem as pattern_of_agents_problem
from auth_agent.url import url_problem
from auth_agent.website.config.bounds import MAX_LIFETIME, NUMBERS
from auth_agent.website.config.converters import COOKIE_STORE
from auth_agent.website.config.fields import Fields
from auth_agent.website.paths import pattern_problem

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


IDENTITY_SCOPES = ("openid", "profile", "email", "offline_access")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 3.3


def _check_issuer(fields: Fields) -> Iterator[str]:
    if not fields.issuer:
        yield "is missing: set it to the URL of your Auth Agent server, e.g. https://auth.example"
    elif problem := url_problem(fields.issuer):
        yield problem


def _check_sign_in(fields: Fields) -> Iterator[str]:
    if not fields.sign_in and fields.identity == "introspection" and not fields.client_id:
        yield (
            "is false: AUTH_AGENT_IDENTITY=introspection then needs AUTH_AGENT_CLIENT_ID, which "
            "is missing"
        )


def _check_client_id(fields: Fields) -> Iterator[str]:
    if not fields.client_id and not fields.sign_in:
        if fields.client_secret is not None or fields.client_key is not None:
            yield (
                "is missing, but AUTH_AGENT_CLIENT_SECRET or AUTH_AGENT_CLIENT_KEY is set: set "
                "all of a client, or none of it"
            )
    elif not fields.client_id:
        yield "is missing: register this site with `auth-agent client add` and set what it prints"


def _check_client_secret(fields: Fields) -> Iterator[str]:
    if not fields.client_id and not fields.sign_in:
        return
    by_secret = fields.client_auth in ("client_secret_basic", "client_secret_post")
    needless = fields.client_auth is not None or fields.client_key is not None
    if fields.client_secret is None and (by_secret or not needless):
        yield (
            "is missing: set what `auth-agent client add` printed, AUTH_AGENT_CLIENT_KEY, "
            "or AUTH_AGENT_CLIENT_AUTH=none for a public client"
        )


def _check_secret(fields: Fields) -> Iterator[str]:
    make = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'
    if not fields.secret and fields.sign_in:
        yield f"is missing: it protects the cookies; {make}"
    if any(len(secret.reveal()) < 32 for secret in fields.secret):
        yield f"contains a secret of fewer than 32 characters (commas separate secrets); {make}"


def _check_base_url(fields: Fields) -> Iterator[str]:
    if not fields.base_url:
        yield "is missing: set it to the public origin of this website, e.g. https://shop.example"
    elif problem := url_problem(fields.base_url, origin=True):
        yield problem


def _check_scope(fields: Fields) -> Iterator[str]:
    if fields.sign_in and "openid" not in fields.scopes and fields.identity == "id_token":
        yield "must contain openid: without it the server sends no ID token"
    if not all(_SCOPE.fullmatch(scope) for scope in fields.scopes):
        yield "contains a character that a scope cannot have; separate scopes by spaces"


def _check_api_scopes(fields: Fields) -> Iterator[str]:
    identity = [scope for scope in fields.api_scopes if scope in IDENTITY_SCOPES]
    if identity:
        yield f"must not contain {', '.join(identity)}: it lists the scopes of this website's API"
    if not all(_SCOPE.fullmatch(scope) for scope in fields.api_scopes):
        yield "contains a character that a scope cannot have; separate scopes by spaces"


def _check_protect(fields: Fields) -> Iterator[str]:
    for pattern in fields.protect:
        if problem := pattern_problem(pattern):
            yield f"pattern {pattern!r} {problem}"


def _check_prefix(fields: Fields) -> Iterator[str]:
    if not _PREFIX.fullmatch(fields.prefix):
        yield "must be a path such as /auth-agent, without a slash at its end"


def _check_audience(fields: Fields) -> Iterator[str]:
    if fields.audience is not None and (problem := url_problem(fields.audience)):
        yield problem


def _check_client_auth(fields: Fields) -> Iterator[str]:
    if fields.client_auth not in (None, *METHODS):
        yield f"must be one of {', '.join(METHODS)}"


def _check_client_key(fields: Fields) -> Iterator[str]:
    if fields.client_key is None:
        if fields.client_auth == "private_key_jwt":
            yield "is missing: private_key_jwt needs a private key (PEM) or its path"
    elif key_problem(fields.client_key):
        yield "is not a private key that can sign: EC (P-256, P-384, P-521), RSA or Ed25519"


def _check_identity(fields: Fields) -> Iterator[str]:
    if fields.identity not in ("id_token", "introspection"):
        yield "must be id_token, or introspection for a server of the original kind"


def _check_bearer_recheck(fields: Fields) -> Iterator[str]:
    lowest, highest = NUMBERS["bearer_recheck"]
    if not lowest <= fields.bearer_recheck <= highest:
        yield f"must be between 0 (never) and {highest} seconds"


def _check_dpop(fields: Fields) -> Iterator[str]:
    if fields.dpop not in ("accept", "require"):
        yield "must be accept, or require to refuse tokens that are not bound to a key"


def _check_signatures(fields: Fields) -> Iterator[str]:
    for pattern in fields.signatures:
        if problem := pattern_of_agents_problem(pattern):
            yield f"pattern {pattern!r} {problem}"
    if fields.signatures and find_spec("http_sf") is None:
        yield f"needs the package http-sf: {install_hint('signatures')}"


def _check_session_store(fields: Fields) -> Iterator[str]:
    url = fields.session_store.reveal()
    if fields.session_store == COOKIE_STORE:
        return
    if not url.startswith(("redis://", "rediss://")):
        yield "must be cookie, or a URL that begins with redis:// or rediss://"
    elif find_spec("redis") is None:
        yield f"needs the package redis: {install_hint('redis')}"
    elif not _is_redis_url(url):
        yield "is not a URL of Redis, such as redis://user:password@host:6379/0"


def _is_redis_url(url: str) -> bool:
    from redis.connection import parse_url  # noqa: PLC0415

    try:
        parts: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        return bool(parts.get("host"))
    except (ValueError, TypeError):
        return False


def _check_algorithms(fields: Fields) -> Iterator[str]:
    wrong = [name for name in fields.algorithms if name not in ALGORITHMS]
    if wrong or not fields.algorithms:
        verb = f"must not contain {', '.join(wrong)}" if wrong else "is empty"
        yield f"{verb}: choose from {', '.join(ALGORITHMS)}"


def _check_userinfo(fields: Fields) -> Iterator[str]:
    if fields.userinfo not in ("auto", "always", "never"):
        yield "must be auto, always or never"


def _check_stylesheet(fields: Fields) -> Iterator[str]:
    sheet = fields.stylesheet
    if sheet.startswith("//"):
        yield "must begin with one slash, or be an https URL"
    elif sheet.startswith("/"):
        if problem := url_problem(f"https://website.example{sheet}", query=True):
            yield problem
    elif sheet and (problem := url_problem(sheet, query=True)):
        yield f"is neither a path such as /static/auth-agent.css nor an https URL: it {problem}"


def _check_session_lifetime(fields: Fields) -> Iterator[str]:
    if not _is_lifetime(fields.session_lifetime):
        yield "must be between 60 seconds and 30 days"


def _check_session_idle(fields: Fields) -> Iterator[str]:
    lifetime = fields.session_lifetime
    longest = lifetime if _is_lifetime(lifetime) else MAX_LIFETIME
    if not NUMBERS["session_idle"][0] <= fields.session_idle <= longest:
        yield "must be at least 30 seconds and at most AUTH_AGENT_SESSION_LIFETIME"


def _is_lifetime(value: object) -> bool:
    lowest, highest = NUMBERS["session_lifetime"]
    return isinstance(value, int) and lowest <= value <= highest


CHECKS: dict[str, Callable[[Fields], Iterator[str]]] = {
    "issuer": _check_issuer,
    "client_id": _check_client_id,
    "client_secret": _check_client_secret,
    "secret": _check_secret,
    "base_url": _check_base_url,
    "sign_in": _check_sign_in,
    "scope": _check_scope,
    "api_scopes": _check_api_scopes,
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
    "dpop": _check_dpop,
    "session_store": _check_session_store,
    "signatures": _check_signatures,
    "stylesheet": _check_stylesheet,
}
