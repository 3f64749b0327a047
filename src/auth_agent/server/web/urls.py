"""URLs that this server trusts, and the ones it redirects to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

from auth_agent import url as url_rules
from auth_agent.url import DEFAULT_PORTS, is_loopback, normal_origin

# RFC 8252 section 7.1; a scheme with a meaning for browsers or systems cannot be an app's own.
_PRIVATE_URI = re.compile(
    r"([a-z][a-z0-9+.-]*):(?://([A-Za-z0-9._~-]*))?([/?][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)
_NOT_PRIVATE = frozenset(
    (
        *("about", "blob", "chrome", "chrome-extension", "cid", "data", "file", "filesystem"),
        *("ftp", "http", "https", "intent", "jar", "javascript", "ldap", "mailto", "mid", "news"),
        *("resource", "sms", "ssh", "tel", "urn", "vbscript", "view-source", "ws", "wss"),
    )
)

_LOOPBACK_URI = re.compile(r"(http://(\[[^]]*\]|[^/?#:\[\]]+))(?::\d{1,5})?([/?].*)?")


@lru_cache(maxsize=1_024)
def origin_of(url: str) -> str:
    """Returns scheme, host and port as a browser writes them; ValueError if there are none."""
    origin = normal_origin(url)
    if origin.partition("://")[0] not in DEFAULT_PORTS or origin.endswith("//"):
        raise ValueError("not an http or https URL")
    return origin


def host_of(url: str) -> str:
    """Returns host and port for display; for a private scheme the origin."""
    origin = return_origin(url)
    return origin if is_private_uri(url) else origin.partition("://")[2]


def same_address(one: str, other: str) -> bool:
    """Compares two http or https URLs as URLs (RFC 3986 section 6.2.3), never by their text.

    Case of scheme and host, a default port and an empty path do not count; anything else does.
    """
    if one == other:
        return True
    try:
        if origin_of(one) != origin_of(other):
            return False
        ours, theirs = urlsplit(one), urlsplit(other)
    except ValueError:
        return False
    return (ours.path or "/", ours.query, ours.fragment) == (
        theirs.path or "/",
        theirs.query,
        theirs.fragment,
    )


def agent_url(issuer: str, agent_id: str) -> str:
    """Returns the address of an agent's document, which is its name for those who verify it."""
    return f"{issuer}/agents/{agent_id}"


def is_within(url: str, origin: str) -> bool:
    """Returns True if the URL is acceptable and lies at or below this origin."""
    return url_problem(url) is None and origin_of(url) == origin


def url_problem(url: str) -> str | None:
    """Returns why this is not an https URL (or http on a loopback host); queries are allowed."""
    return url_rules.url_problem(url, query=True)


def issuer_problem(issuer: str) -> str | None:
    """Returns the problem of an issuer (RFC 8414 section 2: no query, no fragment), or None."""
    problem = url_problem(issuer)
    if problem:
        return problem
    if "?" in issuer:
        return "has a query; an issuer has none"
    if issuer.endswith("/"):
        return (
            "ends with a slash; remove the slash, because clients compare the issuer byte for byte"
        )
    if origin_of(issuer) != "/".join(issuer.split("/")[:3]):
        return (
            "is not in the form that browsers use; write "
            f"{origin_of(issuer)}{urlsplit(issuer).path}"
        )
    return None


def smtp_problem(url: str) -> str | None:
    """Returns the problem of a mail server's URL without quoting it, or None."""
    example = "write it like smtps://user:password@mail.example or smtp://mail.example:587"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return f"is not a URL; {example}"
    if parts.scheme not in ("smtp", "smtps") or not host:
        return f"names no mail server; {example}"
    if parts.path not in ("", "/") or parts.query not in ("", "plaintext=allowed") or "#" in url:
        return f"contains more than a mail server; {example}"
    return None


def redirect_matches(registered: str, requested: str) -> bool:
    """Compares as strings; a loopback http address may come with any port (RFC 8252 7.3)."""
    if registered == requested:
        return True
    ours, theirs = _loopback_parts(registered), _loopback_parts(requested)
    return ours is not None and ours == theirs


def is_loopback_uri(uri: str) -> bool:
    """Returns True for http on a loopback host, with any port and path."""
    return _loopback_parts(uri) is not None


def _loopback_parts(uri: str) -> tuple[str, str] | None:
    """Returns the text before and after the port of a loopback http URL, or None."""
    found = _LOOPBACK_URI.fullmatch(uri)
    if found is None or url_problem(uri) or not is_loopback(urlsplit(uri).hostname):
        return None
    return found[1], found[3] or ""


def is_private_uri(uri: str) -> bool:
    """Returns True for a redirect URI with an app's private scheme (RFC 8252 section 7.1)."""
    found = _PRIVATE_URI.fullmatch(uri)
    return found is not None and found[1] not in _NOT_PRIVATE and bool(found[2] or found[3])


def is_native_uri(uri: str) -> bool:
    """Returns True if only an app on the visitor's own device can receive this redirect URI."""
    return is_loopback_uri(uri) or is_private_uri(uri)


def return_origin(uri: str) -> str:
    """Returns the origin of a redirect URI; under a private scheme its scheme and authority."""
    found = _PRIVATE_URI.fullmatch(uri)
    if found is not None and is_private_uri(uri):
        return f"{found[1]}://{found[2] or ''}"
    return origin_of(uri)


def with_parameters(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Appends parameters to the query and leaves the rest untouched (RFC 6749 section 3.1.2)."""
    joint = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return uri + joint + urlencode(list(parameters))
