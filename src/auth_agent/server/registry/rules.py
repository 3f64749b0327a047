"""What may be registered: the columns of websites and agents, checked; messages name the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from auth_agent.server.outbound.addresses import checked_address
from auth_agent.server.security.public_keys import parse_keys
from auth_agent.server.settings import SCOPE_TOKEN
from auth_agent.server.web.urls import url_problem

_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")


class RegistrationError(ValueError):
    """What was to be registered is not acceptable; the message names cause and remedy."""


class IdTaken(RegistrationError):
    """The id belongs to somebody, or did once."""


def client_columns(
    name: str,
    redirect_uris: Sequence[str],
    *,
    scopes: Sequence[str],
    resources: Sequence[str] = (),
    public: bool,
    jwks: str | None,
    jwks_uri: str | None,
    backchannel_logout_uri: str | None,
    origin: str,
) -> dict[str, Any]:
    """What is stored of a client's description; RegistrationError if it is not acceptable."""
    columns = check_website(name, redirect_uris, scopes, resources)
    for what, uri in (("jwks_uri", jwks_uri), ("back-channel logout URI", backchannel_logout_uri)):
        if uri is not None:
            _check_url(what, uri)
    has_keys = bool(jwks or jwks_uri)
    if has_keys and public:
        raise RegistrationError("a public client has no keys; leave out one of the two")
    return {
        **columns,
        "auth_method": "none" if public else "private_key_jwt" if has_keys else "client_secret",
        "origin": origin,
        "jwks": None if jwks is None else checked_keys(jwks),
        "jwks_uri": jwks_uri,
        "backchannel_logout_uri": backchannel_logout_uri,
    }


def check_agent(
    email: str,
    *,
    name: str,
    model: str,
    scopes: Sequence[str] | None,
    permissions: Sequence[str],
    require_origin: bool,
) -> dict[str, Any]:
    """The columns of an agent that may be edited; RegistrationError if one is not acceptable."""
    try:
        email = checked_address(email)
    except ValueError:
        raise RegistrationError(f"{email[:300]!r} is not an e-mail address") from None
    return {
        "email": email,
        "name": _line("name", name, needed=False),
        "model": _line("model", model, needed=False),
        "scopes": None if scopes is None else _words("scope", scopes),
        "permissions": _words("permission", permissions),
        "require_origin": require_origin,
    }


def check_website(
    name: str, redirect_uris: Sequence[str], scopes: Sequence[str], resources: Sequence[str]
) -> dict[str, str]:
    """The columns of a website that may be edited; RegistrationError if one is not acceptable."""
    if not redirect_uris:
        raise RegistrationError("a website needs at least one redirect URI")
    for uri in redirect_uris:
        _check_url("redirect URI", uri)
    for resource in resources:
        _check_url("resource", resource)
    return {
        "name": _line("name", name),
        "redirect_uris": " ".join(dict.fromkeys(redirect_uris)),
        "scopes": _words("scope", scopes),
        "resources": " ".join(dict.fromkeys(resources)),
    }


def checked_id(text: str) -> str:
    if not _AGENT_ID.fullmatch(text):
        raise RegistrationError("an agent's id has 3 to 64 letters, digits, dots, dashes or _")
    return text


def checked_keys(text: str) -> str:
    try:
        return json.dumps({"keys": parse_keys(text)})
    except ValueError as error:
        raise RegistrationError(str(error)) from None


def _check_url(kind: str, url: str) -> None:
    if problem := url_problem(url):
        raise RegistrationError(f"the {kind} {url!r} {problem}")


def _line(what: str, text: str, *, needed: bool = True) -> str:
    if (needed and not text.strip()) or len(text) > 200 or not text.isprintable():
        raise RegistrationError(f"the {what} has to be one line of at most 200 characters")
    return text


def _words(what: str, words: Sequence[str]) -> str:
    for word in words:
        if not SCOPE_TOKEN.fullmatch(word):
            raise RegistrationError(f"the {what} {word!r} has to be one word of plain ASCII")
    return " ".join(dict.fromkeys(words))
