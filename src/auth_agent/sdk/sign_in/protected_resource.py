"""What an API says about itself (RFC 9728), and what it asks for in a refusal (RFC 6750)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.protocol.dpop.making import ALGORITHM
from auth_agent.sdk.exchange.journey import Journey, readable
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Flow
from auth_agent.url import normal_origin, url_problem

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_PARAMETER = re.compile(r'(?:^|[\s,])([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_LONGEST = 4_096


class Challenge(NamedTuple):
    """What a 401 or 403 asks for; `scope` may be empty."""

    error: str
    scope: frozenset[str]
    metadata_url: str | None


class Resource(NamedTuple):
    """An API: the name that its tokens are for, and the scopes that it knows."""

    url: str
    scopes: frozenset[str]
    dpop: bool = False
    """Whether it takes tokens that are bound to a key, with the SDK's kind of proof."""


def read_challenge(headers: Mapping[str, str]) -> Challenge:
    """Reads the first value of each parameter; what has a wrong form counts as absent."""
    text = headers.get("www-authenticate", "")[:_LONGEST]
    found: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(text):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or bare)
    scope = found.get("scope", "")
    words = frozenset(scope.split()) if _SCOPE.fullmatch(scope) else frozenset[str]()
    return Challenge(found.get("error", ""), words, found.get("resource_metadata"))


def find_resource(url: str, challenge: Challenge, issuer: str, journey: Journey) -> Flow[Resource]:
    """Returns the API that this URL belongs to, if its tokens come from `issuer`.

    Reads the metadata at the API's own origin alone. Raises `AuthError` `not_protected` if there
    is none, `website_mismatch` if it speaks of another API, `issuer_not_allowed`.
    """
    for candidate in _candidates(url, challenge.metadata_url):
        response = yield from send_with_retries(journey, HttpRequest("GET", candidate, (_ACCEPT,)))
        if response.status == 200:
            return _parse(readable(response), url, issuer)
    raise AuthError(
        f"{normal_origin(url)} wants a token, but does not name the server that issues it "
        "(RFC 9728).",
        code="not_protected",
    )


_ACCEPT = ("Accept", "application/json")


def covers(resource: str, url: str) -> bool:
    """Returns True if the URL is the resource itself or lies below it, compared as URLs."""
    if normal_origin(resource) != normal_origin(url):
        return False
    above, below = urlsplit(resource).path.rstrip("/"), urlsplit(url).path
    return below.rstrip("/") == above or below.startswith(above + "/")


def _candidates(url: str, named: str | None) -> Iterator[str]:
    """Yields the named address (RFC 9728 5.1), then the path inserted, and the root (3.1)."""
    origin, path = normal_origin(url), urlsplit(url).path.rstrip("/")
    ours = [f"{origin}{WELL_KNOWN}{path}", f"{origin}{WELL_KNOWN}"]
    if named and url_problem(named, query=True) is None and normal_origin(named) == origin:
        ours.insert(0, named)
    yield from dict.fromkeys(ours)


def _parse(response: HttpResponse, url: str, issuer: str) -> Resource:
    document: dict[str, Any] = json_object(response, "description of the API")
    resource, servers = document.get("resource"), document.get("authorization_servers")
    if not isinstance(resource, str) or url_problem(resource) or not covers(resource, url):
        # Section 3.3: else an API could get tokens that are for another one.
        raise AuthError(
            f"The metadata at {normal_origin(url)} describes another API; no token was requested.",
            code="website_mismatch",
            status_code=409,
        )
    if not isinstance(servers, list) or not servers:
        raise ServerMisbehaved(f"{normal_origin(url)} names no server that issues its tokens.")
    if issuer not in servers:
        raise AuthError(
            f"{normal_origin(url)} accepts tokens of other servers than {issuer}. Nothing was "
            "sent to those.",
            code="issuer_not_allowed",
            status_code=403,
        )
    scopes = document.get("scopes_supported")
    known = scopes if isinstance(scopes, list) else []
    words = (word for word in known if isinstance(word, str) and _SCOPE.fullmatch(word))
    algorithms = document.get("dpop_signing_alg_values_supported")
    takes_proofs = isinstance(algorithms, list) and ALGORITHM in algorithms
    return Resource(resource, frozenset(words), takes_proofs)
