"""The rules for each column of an agent or website; messages name the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from auth_agent.server.outbound.addresses import checked_address
from auth_agent.server.security.keys.public import parse_keys
from auth_agent.server.settings import ALGORITHMS, APPROVALS, DEFAULT_SCOPES, SCOPE_TOKEN
from auth_agent.server.web.urls import host_of, is_private_uri, url_problem

if TYPE_CHECKING:
    from typing_extensions import Unpack

LONGEST_RESOURCE = 2_048
_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")


class RegistrationError(ValueError):
    """A value is not acceptable; the message names cause and remedy."""


class IdTaken(RegistrationError):
    """An agent or a client has, or once had, this id."""


class TooMany(RegistrationError):
    """The limit of self-registered agents or clients has been reached."""


class ClientFields(TypedDict, total=False):
    """What a client may have beside its name and redirect URIs; what is left out has its default.

    With `jwks` (PEM, JWK or JWKS) or `jwks_uri` it signs instead of sending a secret. With
    `dpop_bound` it gets no token without a proof of a key (RFC 9449 section 5.2).
    """

    scopes: Sequence[str]
    resources: Sequence[str]
    public: bool
    jwks: str | None
    jwks_uri: str | None
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    post_logout_redirect_uris: Sequence[str]
    id_token_alg: str | None
    strict_audience: bool
    dpop_bound: bool
    origin: str


class AgentFields(TypedDict, total=False):
    """What an agent may have beside its owner's address; what is left out has its default.

    `name` is the owner's, `display_name` the agent's. Without `scopes` the agent may grant every
    scope that a website asks for.
    """

    name: str
    display_name: str
    model: str
    scopes: Sequence[str] | None
    permissions: Sequence[str]
    approval: str | None


_CLIENT_DEFAULTS: dict[str, Any] = {
    "scopes": DEFAULT_SCOPES,
    "resources": (),
    "backchannel_logout_uri": None,
    "backchannel_logout_session_required": False,
    "post_logout_redirect_uris": (),
    "id_token_alg": None,
    "strict_audience": False,
    "dpop_bound": False,
}
_AGENT_DEFAULTS: dict[str, Any] = {
    "name": "",
    "display_name": "",
    "model": "",
    "scopes": None,
    "permissions": (),
    "approval": None,
}


def new_agent_columns(email: str, fields: AgentFields) -> dict[str, Any]:
    """Returns the described columns of a new agent; raises RegistrationError."""
    return agent_columns({"email": email, **_AGENT_DEFAULTS, **fields})


def agent_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the given columns of an agent as they are stored; raises RegistrationError."""
    return {name: _AGENT[name](value) for name, value in values.items()}


def website_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the given columns of a website as they are stored; raises RegistrationError."""
    return {name: _WEBSITE[name](value) for name, value in values.items()}


def client_columns(
    name: str, redirect_uris: Sequence[str], **fields: Unpack[ClientFields]
) -> dict[str, Any]:
    """Returns the columns for a client's metadata; raises RegistrationError."""
    public, origin = fields.pop("public", False), fields.pop("origin", "added")
    jwks, jwks_uri = fields.pop("jwks", None), fields.pop("jwks_uri", None)
    given = {"name": name, "redirect_uris": redirect_uris, **_CLIENT_DEFAULTS, **fields}
    columns = website_columns(given)
    if not public and any(is_private_uri(uri) for uri in redirect_uris):
        raise RegistrationError(
            "a redirect URI under a private scheme belongs to an app, which cannot keep a "
            "secret; make it a public client"
        )
    if jwks_uri is not None:
        _check_url("jwks_uri", jwks_uri)
    has_keys = bool(jwks or jwks_uri)
    if has_keys and public:
        raise RegistrationError(
            "a public client has no keys; leave out the keys, or make it a confidential client"
        )
    return {
        **columns,
        "auth_method": "none" if public else "private_key_jwt" if has_keys else "client_secret",
        "origin": origin,
        "jwks": None if jwks is None else checked_keys(jwks),
        "jwks_uri": jwks_uri,
    }


def check_resource(url: str, name: str, scopes: Sequence[str]) -> dict[str, str]:
    """Returns the columns of a known API; raises RegistrationError if one is unacceptable."""
    _check_url("resource", url)
    if len(url) > LONGEST_RESOURCE:
        raise RegistrationError(f"the resource is longer than {LONGEST_RESOURCE} characters")
    name = _line("name", name, needed=False) or host_of(url)
    return {"url": url, "name": name, "scopes": _words("scope", scopes)}


def checked_id(text: str) -> str:
    """Returns the id of an agent; raises RegistrationError."""
    if not _AGENT_ID.fullmatch(text):
        raise RegistrationError("an agent's id has 3 to 64 letters, digits, dots, dashes or _")
    return text


def checked_keys(text: str) -> str:
    """Returns public keys (PEM, JWK or JWKS) as a JWKS; raises RegistrationError."""
    try:
        return json.dumps({"keys": parse_keys(text)})
    except ValueError as error:
        raise RegistrationError(str(error)) from None


def _address(email: str) -> str:
    try:
        return checked_address(email)
    except ValueError:
        raise RegistrationError(f"{email[:300]!r} is not an e-mail address") from None


def _redirect_uris(uris: Sequence[str]) -> str:
    if not uris:
        raise RegistrationError("a website needs at least one redirect URI")
    return _return_uris("redirect URI", uris)


def _return_uris(kind: str, uris: Sequence[str]) -> str:
    """Checks redirect URIs: each is a URL, or uses an app's private scheme."""
    for uri in uris:
        if not is_private_uri(uri):
            _check_url(kind, uri)
    return " ".join(dict.fromkeys(uris))


def _urls(kind: str, urls: Sequence[str]) -> str:
    for url in urls:
        _check_url(kind, url)
    return " ".join(dict.fromkeys(urls))


def _logout_uri(uri: str | None) -> str | None:
    if not uri:
        return None
    _check_url("back-channel logout URI", uri)
    return uri


def _algorithm(name: str | None) -> str | None:
    if name is not None and name not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise RegistrationError(f"ID tokens cannot be signed with {name!r}; choose one of {known}")
    return name


def _approval(setting: str | None) -> str | None:
    if not setting:
        return None
    if setting not in APPROVALS:
        known = ", ".join(APPROVALS)
        raise RegistrationError(f"the approval {setting[:20]!r} is unknown; choose one of {known}")
    return setting


def _check_url(kind: str, url: str) -> None:
    if problem := url_problem(url):
        raise RegistrationError(f"the {kind} {url!r} {problem}")


def _line(what: str, text: str, *, needed: bool = True, longest: int = 200) -> str:
    if (needed and not text.strip()) or len(text) > longest or not text.isprintable():
        raise RegistrationError(f"the {what} has to be one line of at most {longest} characters")
    return text


def _words(what: str, words: Sequence[str]) -> str:
    for word in words:
        if not SCOPE_TOKEN.fullmatch(word):
            raise RegistrationError(f"the {what} {word!r} has to be one word of plain ASCII")
    return " ".join(dict.fromkeys(words))


_AGENT: dict[str, Callable[[Any], Any]] = {
    "email": _address,
    "name": lambda text: _line("name", text, needed=False),
    "display_name": lambda text: _line("display name", text.strip(), needed=False, longest=80),
    "jwks": checked_keys,
    "model": lambda text: _line("model", text, needed=False),
    "scopes": lambda words: None if words is None else _words("scope", words),
    "permissions": lambda words: _words("permission", words),
    "require_origin": bool,
    "approval": _approval,
    "dpop_bound": bool,
}
_WEBSITE: dict[str, Callable[[Any], Any]] = {
    "name": lambda text: _line("name", text),
    "redirect_uris": _redirect_uris,
    "scopes": lambda words: _words("scope", words),
    "resources": lambda urls: _urls("resource", urls),
    "backchannel_logout_uri": _logout_uri,
    "jwks": checked_keys,
    "jwks_uri": lambda url: _urls("jwks_uri", [url]),
    "post_logout_redirect_uris": lambda uris: _return_uris("post-logout redirect URI", uris),
    "id_token_alg": _algorithm,
    "strict_audience": bool,
    "backchannel_logout_session_required": bool,
    "dpop_bound": bool,
}
