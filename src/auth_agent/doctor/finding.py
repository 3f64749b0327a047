"""A finding: one sentence of cause, one of remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from auth_agent.errors import AuthError

Level = Literal["ok", "note", "warning", "failure"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "failure")
MAX_SHOWN = 200


class Finding(msgspec.Struct, frozen=True):
    """A result; `check` is a stable code, `area.what`; a good one needs no remedy. No secrets."""

    level: Level
    check: str
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding("ok", check, message)


def note(check: str, message: str, remedy: str = "") -> Finding:
    return Finding("note", check, message, remedy)


def warning(check: str, message: str, remedy: str) -> Finding:
    return Finding("warning", check, message, remedy)


def failure(check: str, message: str, remedy: str) -> Finding:
    return Finding("failure", check, message, remedy)


def is_well(findings: Iterable[Finding]) -> bool:
    """Returns True if none of the findings keeps an agent from signing in."""
    return all(finding.level != "failure" for finding in findings)


def plain(text: object) -> str:
    """Returns foreign text bounded and without control characters."""
    shown = "".join(c if c.isprintable() else "?" for c in str(text)[: MAX_SHOWN + 1])
    return f"{shown[:MAX_SHOWN]}…" if len(shown) > MAX_SHOWN else shown


def is_certificate_problem(error: AuthError) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in _reason(error)


def speaks_no_tls(error: AuthError) -> bool:
    return "WRONG_VERSION_NUMBER" in _reason(error) or "record layer" in _reason(error)


def in_words(error: AuthError) -> str:
    """Returns the reason of a network error in words."""
    reason = _reason(error)
    if is_certificate_problem(error):
        detail = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return f"its certificate is not trusted ({plain(detail) or 'no cause given'})"
    if speaks_no_tls(error):
        return "what answers there does not speak TLS"
    for sign, words in _KNOWN_REASONS:
        if sign in reason.lower():
            return words
    return plain(reason) or plain(error.description)


_KNOWN_REASONS = (
    ("connection refused", "nothing listens there"),
    ("name or service not known", "its name is not known"),
    ("nodename nor servname", "its name is not known"),
    ("name resolution", "its name could not be looked up"),
    ("no address associated", "its name has no address"),
    ("timed out", "there was no answer in time"),
    ("timeout", "there was no answer in time"),
    ("took too long", "there was no answer in time"),
    ("authentication required", "it requires a password"),
    ("already authenticated", "it requires a password"),
    ("wrongpass", "it does not accept this user and password"),
    ("unreachable", "this machine has no network route to it"),
)


def _reason(error: AuthError) -> str:
    return str(getattr(error, "reason", ""))
