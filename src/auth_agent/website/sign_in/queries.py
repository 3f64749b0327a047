"""The queries of the sign-in's routes: what a browser brings to the login and to the callback."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.secret import Discreet
from auth_agent.website.web.visit import Visit

MAX_QUERY = 8_192
_CALLBACK_PARAMETERS = ("code", "state", "iss", "error", "error_description", "error_uri")
_SECONDS = re.compile(r"[0-9]{1,8}")


class Asked(msgspec.Struct, frozen=True):
    """What a sign-in has to bring: how fresh, whether the owner approves, and which act."""

    max_age: int | None = None
    approved: bool = False
    agent: str | None = None
    """The only agent that may come back, because the act is its own."""
    act: str | None = None
    """A digest of the act that the owner has to approve."""


NOTHING = Asked()


class Callback(Discreet, frozen=True):
    """The callback's parameters from the server (RFC 6749 4.1.2, RFC 9207)."""

    code: str | None
    state: str | None
    iss: str | None
    error: str | None

    def __repr__(self) -> str:
        return "Callback(**********)"


def read_one(visit: Visit, wanted: str) -> str | None:
    """Returns a parameter that is given once; None for an absent or a repeated one."""
    if len(visit.query) > MAX_QUERY:
        return None
    found = [value for name, value in parse_qsl(visit.query) if name == wanted]
    return found[0] if len(found) == 1 else None


def read_next(visit: Visit) -> str | None:
    """Returns the page to go to after the sign-in; `url.safe_next` checks it, not this function."""
    return read_one(visit, "next")


def read_asked(visit: Visit) -> Asked:
    """Returns the greatest age of the authentication, and whether the owner has to approve it."""
    seconds = read_one(visit, "max_age") or ""
    max_age = int(seconds) if _SECONDS.fullmatch(seconds) else None
    return Asked(max_age, read_one(visit, "approved") == "1")


def read_callback(visit: Visit) -> Callback:
    """Raises `SignInRefused` if a parameter is given twice (RFC 6749 3.1)."""
    if len(visit.query) > MAX_QUERY:
        raise SignInRefused("The answer is too large.", code="query_too_large")
    found: dict[str, str] = {}
    for name, value in parse_qsl(visit.query, keep_blank_values=True):
        if name not in _CALLBACK_PARAMETERS:
            continue
        if name in found:
            raise SignInRefused(
                f"The sign-in response has `{name}` more than once.", code="duplicate_parameter"
            )
        found[name] = value
    return Callback(*(found.get(name) for name in _CALLBACK_PARAMETERS[:4]))
