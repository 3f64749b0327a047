"""The server's metadata (RFC 8414, OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.url import url_problem

logger = logging.getLogger("auth_agent")


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The server's metadata, as far as a website uses it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str | None
    userinfo_endpoint: str | None = None
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    auth_methods: tuple[str, ...] = ("client_secret_basic",)  # RFC 8414 2: the default
    id_token_algorithms: tuple[str, ...] | None = None
    dpop_algorithms: tuple[str, ...] | None = None
    sends_iss: bool = False


def metadata_requests(issuer: str) -> tuple[HttpRequest, HttpRequest]:
    """Returns two requests: the well-known part stands before the issuer's path in RFC 8414 3.1,
    behind it in Discovery 4.1.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    accept = (("Accept", "application/json"),)
    return (
        HttpRequest("GET", f"{origin}/.well-known/oauth-authorization-server{path}", accept),
        HttpRequest("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration", accept),
    )


def is_metadata(response: HttpResponse) -> bool:
    """Returns True if an answer is a JSON object of any type; otherwise the next place is tried."""
    if response.status != 200:
        return False
    try:
        json_object(response, "metadata")
    except ServerMisbehaved:
        return False
    return True


def parse_metadata(response: HttpResponse, *, issuer: str, needs_keys: bool = True) -> Metadata:
    """Parses the metadata; raises `ServerMisbehaved` if it is not exactly this issuer's.

    Optional fields of a wrong form count as absent; the issuer, the keys and required fields
    must be right.
    """
    if response.status != 200:
        raise ServerMisbehaved(
            f"The Auth Agent server answers {response.status} at both well-known addresses; "
            "check AUTH_AGENT_ISSUER.",
            code="metadata_missing",
        )
    document = json_object(response, "metadata")
    if document.get("issuer") != issuer:  # RFC 8414 3.3: identical, or the data MUST NOT be used
        raise ServerMisbehaved(
            "The issuer in the server's metadata differs from AUTH_AGENT_ISSUER; they must be "
            "the same, byte for byte, a slash at the end included.",
            code="issuer_mismatch",
        )
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
        token_endpoint=_endpoint(document, "token_endpoint", issuer),
        jwks_uri=(_endpoint if needs_keys else _optional_endpoint)(document, "jwks_uri", issuer),
        userinfo_endpoint=_optional_endpoint(document, "userinfo_endpoint", issuer),
        introspection_endpoint=_optional_endpoint(document, "introspection_endpoint", issuer),
        revocation_endpoint=_optional_endpoint(document, "revocation_endpoint", issuer),
        pushed_authorization_request_endpoint=_optional_endpoint(
            document, "pushed_authorization_request_endpoint", issuer
        ),
        auth_methods=_names(document, "token_endpoint_auth_methods_supported")
        or ("client_secret_basic",),
        id_token_algorithms=_names(document, "id_token_signing_alg_values_supported"),
        dpop_algorithms=_names(document, "dpop_signing_alg_values_supported"),
        sends_iss=_flag(document, "authorization_response_iss_parameter_supported"),
    )


def _optional_endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str | None:
    url = document.get(name)
    if isinstance(url, str) and url.startswith(("https:", "http:")):
        return _endpoint(document, name, issuer)
    if url is not None:
        _ignore(name)
    return None


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not url:
        raise ServerMisbehaved(f"The server's metadata lacks {name}.", code="metadata_invalid")
    problem = url_problem(url, query=True)
    if problem is None and issuer.startswith("https:") and not url.startswith("https:"):
        problem = "uses http although the issuer uses https"
    if problem is not None:
        raise ServerMisbehaved(
            f"{name} in the server's metadata {problem}.", code="metadata_invalid"
        )
    return url


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):  # "true" promises the parameter and must not count as absent
        raise ServerMisbehaved(
            f"{name} in the server's metadata is not true or false.", code="metadata_invalid"
        )
    return value


def _names(document: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _ignore(name)
        return None
    return tuple(value)


def _ignore(name: str) -> None:
    logger.warning("%s in the server's metadata has a wrong form; ignored.", name)
