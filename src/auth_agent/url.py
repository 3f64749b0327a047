"""URLs, judged as browsers judge them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

MAX_NEXT = 1_024
# Everything that RFC 3986 lets stand in a path, a query or a fragment; the rest is percent-encoded.
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~-._"
_ENCODED_SLASH = re.compile(r"/(%2f|%5c)", re.IGNORECASE)


def is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_problem(url: str, *, origin: bool = False, query: bool = False) -> str | None:
    """Why this is not an https URL (or http on a loopback host), or None.

    `origin` allows no path, `query` allows a query.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError where the port is not a number
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "is not an https URL"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "uses http, which is only allowed on a loopback host; use https"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password; remove it"
    strange = any(letter in url for letter in "# \\") or not url.isascii() or not url.isprintable()
    if strange or ("?" in url and not query):
        return "holds a query, a fragment or a character that a URL cannot hold; remove it"
    if origin and parts.path not in ("", "/"):
        return f"has a path; give only the origin, {parts.scheme}://{parts.netloc}"
    return None


def normal_origin(url: str) -> str:
    """The origin as browsers write it: lower case, no default port (RFC 6454 4)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def quote_path(path: str | bytes) -> str:
    """Percent-encode a decoded path, so that it can stand in a header."""
    return quote(path, safe="/:@!$&'()*+,;=~-._%")


def safe_next(value: str | None, *, prefix: str) -> str:
    """A path on this site to return to after signing in; anything doubtful becomes `/`.

    Browsers read `//`, `/\\` and `\\` as the start of a host, and drop tabs and line breaks before
    they look (WHATWG URL 4.4), so none of these may stand in what goes into `Location`.
    """
    if not value or len(value) > MAX_NEXT or not value.startswith("/") or "\\" in value:
        return "/"
    if not value.isprintable() or value.startswith("//") or _ENCODED_SLASH.match(value):
        return "/"
    try:
        encoded = quote(value, safe=_URL_CHARACTERS)
    except UnicodeEncodeError:  # a lone surrogate
        return "/"
    own_route = encoded == prefix or encoded.startswith((f"{prefix}/", f"{prefix}?"))
    return "/" if own_route or len(encoded) > MAX_NEXT else encoded
