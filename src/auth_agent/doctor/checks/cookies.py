"""Checks that our cookie arrives unchanged through the proxies before the website."""

from __future__ import annotations

import re
from collections.abc import Iterator

from auth_agent.doctor.finding import Finding, failure, ok, warning
from auth_agent.flow.exchange import HttpResponse
from auth_agent.website.config.settings import Settings

# Several Set-Cookie are joined by commas, and the date in Expires holds one, too.
_BORDER = re.compile(r",\s*(?=[^;,=\s]+=)")
_OURS = re.compile(r"(__Host-|__Secure-)?auth_agent(_[A-Za-z0-9_-]{1,16})?_login_")


def examine_cookies(response: HttpResponse, settings: Settings) -> Iterator[Finding]:
    """Checks the answer that starts a sign-in: it always sets exactly one cookie of ours."""
    ours = _ours(response)
    if not ours:
        yield failure(
            "website.cookie_missing",
            "The website's cookie does not reach the browser: every sign-in would fail with "
            "login_cookie_missing.",
            "Let the proxy forward Set-Cookie unchanged (nginx: proxy_hide_header, "
            "proxy_ignore_headers; a CDN: no caching below AUTH_AGENT_PREFIX).",
        )
        return
    changes = list(_changes(ours[0], settings))
    if changes:
        yield failure(
            "website.cookie_changed",
            f"The website's cookie is changed on its way to the browser: {', '.join(changes)}.",
            "Let the proxy forward Set-Cookie unchanged (nginx: proxy_cookie_domain, "
            "proxy_cookie_path, proxy_cookie_flags).",
        )
    else:
        yield ok("website.cookie", f"The website's cookie arrives unchanged{_kind(settings)}.")
    if "no-store" not in response.headers.get("cache-control", ""):
        yield warning(
            "website.cacheable",
            "The header Cache-Control: no-store is lost on the way: a cache could give one "
            "agent's sign-in to another agent.",
            "Let the proxy forward Cache-Control, and cache nothing below AUTH_AGENT_PREFIX.",
        )


def login_cookie(response: HttpResponse) -> str | None:
    """Returns name and value of the cookie that a sign-in begins with."""
    ours = _ours(response)
    return ours[0].partition(";")[0].strip() if ours else None


def _ours(response: HttpResponse) -> list[str]:
    return [c for c in _BORDER.split(response.headers.get("set-cookie", "")) if _OURS.match(c)]


def _changes(cookie: str, settings: Settings) -> Iterator[str]:
    pair, *rest = (part.strip() for part in cookie.split(";"))
    attributes = dict(part.lower().partition("=")[::2] for part in rest)
    if pair.startswith("__Host-") != settings.secure:
        yield "another name"
    if settings.secure and "secure" not in attributes:
        yield "Secure is missing"
    if "httponly" not in attributes:
        yield "HttpOnly is missing"
    if "domain" in attributes:
        yield "Domain is set"
    if attributes.get("path") != "/":
        yield "Path is not /"
    if attributes.get("samesite") == "strict":
        yield (
            "SameSite is Strict, so that the browser does not send it after the redirect from "
            "the server"
        )


def _kind(settings: Settings) -> str:
    return " (__Host-, Secure)" if settings.secure else ""
