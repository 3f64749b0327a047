"""Signature agents: from the value of `Signature-Agent` to a name and the address of its keys.

Both generations are understood: an origin, whose keys are at the well-known address, and the URL of
a key set itself. An origin and its well-known address are one agent.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from auth_agent.errors import SignatureRefused
from auth_agent.url import normal_origin, url_problem

WELL_KNOWN = "/.well-known/http-message-signatures-directory"
MAX_ADDRESS = 2_048

_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ID = re.compile(r"[A-Za-z0-9._~-]{1,255}")


class SignatureAgent(NamedTuple):
    """`name` is normalised and identifies the agent; `address` is fetched for its keys."""

    name: str
    origin: str
    address: str

    @property
    def is_directory(self) -> bool:
        """Returns whether the keys are at the origin's well-known address."""
        return self.address == self.origin + WELL_KNOWN


def read_agent(value: str, *, loopback_allowed: bool = False) -> SignatureAgent:
    """Returns name and address; raises `SignatureRefused` for a URL that is read in two ways.

    http is refused unless it goes to this machine and that is allowed.
    """
    problem = url_problem(value, query=True) if len(value) <= MAX_ADDRESS else "is too long"
    if problem is None:
        parts = urlsplit(value)
        origin, path = normal_origin(value), _normal_path(parts.path)
        if parts.scheme != "https" and not loopback_allowed:
            problem = "is not https"
        elif path is None or parts.port == 0 or (parts.hostname or "").endswith("."):
            problem = (
                "is not in its normal form: leave out port 0, dots at the end of the host, and . "
                "and .. in the path"
            )
        elif path in ("/", WELL_KNOWN):
            if "?" not in value:
                return SignatureAgent(origin, origin, origin + WELL_KNOWN)
            problem = "has a query, but an origin has none"
        else:
            query = f"?{parts.query}" if "?" in value else ""
            return SignatureAgent(origin + path, origin, origin + parts.path + query)
    raise SignatureRefused(f"The URL in Signature-Agent {problem}.", code="agent_malformed")


def issued_id(agent: SignatureAgent, issuer: str) -> str | None:
    """Returns the id if this is `{issuer}/agents/{id}`, the name of an agent of that server."""
    parts = urlsplit(issuer)
    below = f"{normal_origin(issuer)}{_normal_path(parts.path.rstrip('/')) or ''}".rstrip("/")
    prefix = f"{below}/agents/"
    found = agent.name[len(prefix) :] if agent.name.startswith(prefix) else ""
    return found if _ID.fullmatch(found) else None


def pattern_problem(pattern: str) -> str | None:
    """Returns why this names no signature agents, or None."""
    if pattern in ("*", "issuer"):
        return None
    try:
        read_agent(pattern.replace("*", "x"), loopback_allowed=True)
    except (SignatureRefused, ValueError):
        return "is not *, issuer, or an https URL such as https://id.example/agents/*"
    return "has a query, which names no agent" if "?" in pattern else None


class Pattern:
    """A pattern of names; a `*` in the host never crosses the slash behind it."""

    def __init__(self, text: str) -> None:
        scheme, _, rest = text.partition("://")
        host, slash, path = rest.partition("/")
        path = slash + path if path and slash + path != WELL_KNOWN else ""
        origin = f"{scheme.lower()}://{host.lower()}"
        self._all = text == "*"
        self._origin = _only_stars(origin if "*" in host else normal_origin(origin))
        self._path = _only_stars(_unescaped(path))

    def fits(self, agent: SignatureAgent) -> bool:
        """Returns whether the agent's normalised name matches; linear in its length."""
        path = agent.name[len(agent.origin) :]
        return self._all or (
            fnmatchcase(agent.origin, self._origin) and fnmatchcase(path, self._path)
        )


def _only_stars(text: str) -> str:
    """Writes what else `fnmatch` would read as a pattern so that it means itself."""
    return text.replace("[", "[[]").replace("?", "[?]")


def _normal_path(path: str) -> str | None:
    """Returns the path as RFC 3986 6.2.2 normalises it; None if servers disagree about it."""
    if _BROKEN.search(path):
        return None
    path = _unescaped(path)
    if "//" in path or "%2F" in path or "%5C" in path or "%00" in path:
        return None
    if any(segment in (".", "..") for segment in path.split("/")):
        return None
    return path or "/"


def _unescaped(path: str) -> str:
    def decode(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if _UNRESERVED.fullmatch(character) else f"%{found[1].upper()}"

    return _PERCENT.sub(decode, path)
