"""The target of a proof (`htu`), compared as URIs are (RFC 3986 6.2.2, 6.2.3)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from auth_agent.url import normal_origin

_CONTROLS = re.compile(r"[\x00-\x20\x7f\\]")
_OCTET = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_SAFE = "/:@!$&'()*+,;=~-._%"


def is_same_target(named: str, url: str) -> bool:
    """Returns True if both name one URI; the query and fragment of `named` do not count.

    Dot segments stay as they are: readers disagree about where they lead, and no client that
    resolves them sends any.
    """
    bare = named.partition("#")[0].partition("?")[0]
    if bare == url:
        return True
    try:
        return _normal(bare) == _normal(url)
    except ValueError:
        return False


def bare_target(url: str) -> str:
    """Returns the URL without query and fragment (RFC 9449 4.2)."""
    return url.partition("#")[0].partition("?")[0]


def _normal(url: str) -> str:
    """Returns the normal form; raises `ValueError` for what is no http(s) URL of a host."""
    if _CONTROLS.search(url):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not parts.hostname:
        raise ValueError("not a URL")
    path = _OCTET.sub(_normal_octet, quote(parts.path, safe=_SAFE))
    return normal_origin(url) + (path or "/")


def _normal_octet(found: re.Match[str]) -> str:
    """Returns an unreserved character as it is, any other octet in upper case."""
    octet = found[0].upper()
    character = unquote(octet, "latin-1")
    return character if _UNRESERVED.fullmatch(character) else octet
