"""URLs and hosts, checked as browsers read them, for website, server and SDK."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, urlsplit

MAX_NEXT = 1_024
DEFAULT_PORTS = {"http": 80, "https": 443}
# All characters that RFC 3986 allows in a path, a query or a fragment; others are encoded.
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~-._"
_ENCODED_SLASH = re.compile(r"/(%2f|%5c)", re.IGNORECASE)
# RFC 3986 2 does not allow these; lenient readers disagree about them.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\<>\"^`{|}]")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_IPV4_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_IPV6_LOOPBACK = ipaddress.IPv6Address("::1")


def is_loopback(host: str | None) -> bool:
    """Returns True for localhost and names below it (RFC 6761 6.3), 127.0.0.0/8 and ::1."""
    host = (host or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address in _IPV4_LOOPBACK
    return address == _IPV6_LOOPBACK


def addresses_of(host: str) -> tuple[str, ...]:
    """Returns the addresses to dial for a host: loopback for localhost and names below it.

    A resolver could otherwise send traffic for this machine elsewhere.
    """
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return ("127.0.0.1", "::1")
    return (host,)


def url_problem(url: str, *, origin: bool = False, query: bool = False) -> str | None:
    """Returns why this is not an https URL (or http on a loopback host), or None.

    `origin` allows no path, `query` allows a query. No fragment is ever allowed.
    """
    if _FORBIDDEN.search(url):
        return "contains characters that a URL cannot contain; percent-encode them"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL; write it like https://shop.example"
    if parts.scheme not in DEFAULT_PORTS or not host:
        return "is not an https URL; write it like https://shop.example"
    if parts.username is not None or parts.password is not None:
        return "contains a user name or password; remove everything before the @"
    if not _is_plain_host(host, parts):
        return (
            "has a host that browsers read in another way; write it with letters, digits, dots "
            "and dashes"
        )
    if parts.scheme == "http" and not is_loopback(host):
        return "uses http, which is only allowed on a loopback host; use https"
    if "#" in url:
        return "has a fragment; remove the # and what follows"
    if "?" in url and not query:
        return "has a query; remove the ? and what follows"
    if origin and parts.path not in ("", "/"):
        return f"has a path; give only the origin, {parts.scheme}://{parts.netloc}"
    return None


def normal_origin(url: str) -> str:
    """Returns the origin as browsers write it: lower case, no default port (RFC 6454 4)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{_written(host)}{port}"


def handshake_url(url: str) -> str:
    """Returns the URL of the HTTP request that opens a WebSocket; any other URL as it is."""
    scheme, separator, rest = url.partition(":")
    known = {"ws": "http", "wss": "https"}.get(scheme.lower())  # RFC 6455 4.1
    return url if known is None else f"{known}{separator}{rest}"


def _is_plain_host(host: str, parts: SplitResult) -> bool:
    """Returns True if browsers and resolvers read the host as written (WHATWG URL 3.5).

    Browsers decode percent signs, read 127.1 and 0x7f.1 as IPv4 addresses, and refuse others; a
    policy (CSP) that names the host ends at a semicolon.
    """
    if ":" in host or "[" in parts.netloc:
        return _is_ipv6(host)
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return _is_ipv4(host)
    return len(host) <= 253 and _NAME.fullmatch(host) is not None


def _is_ipv4(host: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    """Returns True without a zone and without dotted numbers, which browsers write differently."""
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host and "." not in host


def _written(host: str) -> str:
    """Returns an IPv6 address in brackets and compressed, any other host unchanged."""
    if ":" not in host:
        return host
    return f"[{ipaddress.IPv6Address(host).compressed}]" if _is_ipv6(host) else f"[{host}]"


def quote_path(path: str | bytes) -> str:
    """Percent-encodes a decoded path, so that decoding it gives the same path again."""
    return quote(path, safe="/:@!$&'()*+,;=~-._")


def home_of(prefix: str) -> str:
    """Returns the website's start page: the parent of the prefix of its routes."""
    return f"{prefix.rpartition('/')[0]}/"


def safe_next(value: str | None, *, prefix: str) -> str:
    """Returns a path on this site to go to after signing in; the start page for a doubtful one.

    Browsers read `//`, `/\\` and `\\` as the start of a host, and drop tabs and line breaks before
    they look (WHATWG URL 4.4), so none of these may stand in `Location`. If the path is too long,
    its query is dropped first.
    """
    home = home_of(prefix)
    if not value or not value.startswith("/") or "\\" in value:
        return home
    if not value.isprintable() or value.startswith("//") or _ENCODED_SLASH.match(value):
        return home
    try:
        encoded = quote(value, safe=_URL_CHARACTERS)
    except UnicodeEncodeError:  # a lone surrogate
        return home
    own_route = encoded == prefix or encoded.startswith((f"{prefix}/", f"{prefix}?"))
    return home if own_route else shortened(encoded, MAX_NEXT, home)


def shortened(path: str, size: int, home: str) -> str:
    """Returns the path, else the path without its query, else `home`: the first that fits."""
    if len(path) <= size:
        return path
    bare = path.partition("#")[0].partition("?")[0]
    return bare if len(bare) <= size else home
