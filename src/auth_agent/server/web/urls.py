"""Which addresses this server trusts, and how it builds the ones it redirects to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\<>\"^`{|}]")
# What browsers leave as it is; they would decode a percent sign, and a policy (CSP) in which the
# host is named would end at a semicolon.
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f.:]*:[0-9a-f.:]*")
_LOOPBACK_URI = re.compile(
    r"(http://(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]))(?::\d{1,5})?([/?].*)?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1, the hosts where http is allowed."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1_024)
def origin_of(url: str) -> str:
    """Scheme, host and port as a browser writes them; ValueError if there are none."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("not an http or https URL")
    shown = f"[{host}]" if ":" in host else host
    if port is None or port == _DEFAULT_PORTS[parts.scheme]:
        return f"{parts.scheme}://{shown}"
    return f"{parts.scheme}://{shown}:{port}"


def host_of(url: str) -> str:
    """Host and port, for people to read."""
    return origin_of(url).partition("://")[2]


def url_problem(url: str) -> str | None:
    """What is wrong with a URL that has to be https, or http on a loopback host."""
    if _FORBIDDEN.search(url):
        return "has characters that no URL holds unescaped; percent-encode them"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL; write it like https://shop.example/callback"
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return "is not an absolute URL; write it like https://shop.example/callback"
    if not _HOST.fullmatch(host):
        return "has a host that no browser takes as it is; write letters, digits, dots and dashes"
    if parts.username is not None or parts.password is not None:
        return "holds a user name; remove everything before the @"
    if "#" in url:
        return "has a fragment; remove the # and what follows"
    if parts.scheme == "http" and not is_loopback(host):
        return "is http on a host that is not a loopback one; use https"
    return None


def issuer_problem(issuer: str) -> str | None:
    """What is wrong with an issuer identifier (RFC 8414 section 2: no query, no fragment)."""
    problem = url_problem(issuer)
    if problem:
        return problem
    if "?" in issuer:
        return "has a query; an issuer has none"
    if issuer.endswith("/"):
        return "ends with a slash; remove it, clients compare it byte for byte"
    if origin_of(issuer) != "/".join(issuer.split("/")[:3]):
        return (
            f"is not written as browsers write it; use {origin_of(issuer)}{urlsplit(issuer).path}"
        )
    return None


def smtp_problem(url: str) -> str | None:
    """What is wrong with the address of a mail server; says nothing of what is in it."""
    example = "write it like smtps://user:password@mail.example or smtp://mail.example:587"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return f"is not a URL; {example}"
    if parts.scheme not in ("smtp", "smtps") or not host:
        return f"names no mail server; {example}"
    if parts.path not in ("", "/") or parts.query not in ("", "plaintext=allowed") or "#" in url:
        return f"holds more than a mail server; {example}"
    return None


def redirect_matches(registered: str, requested: str) -> bool:
    """Exact string match; a loopback http address may come with any port (RFC 8252 section 7.3)."""
    if registered == requested:
        return True
    ours, theirs = _LOOPBACK_URI.fullmatch(registered), _LOOPBACK_URI.fullmatch(requested)
    if ours is None or theirs is None or url_problem(requested):
        return False
    return ours.groups() == theirs.groups()


def is_loopback_uri(uri: str) -> bool:
    """True for http on 127.0.0.0/8, ::1 or localhost, with any port and path."""
    return bool(_LOOPBACK_URI.fullmatch(uri)) and url_problem(uri) is None


def with_parameters(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Appends to the query and leaves what is there untouched (RFC 6749 section 3.1.2)."""
    joint = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return uri + joint + urlencode(list(parameters))
