"""Checks that an answer with a session cookie of more than 3 KB gets through the proxies.

nginx refuses an answer whose headers fill more than a page of memory (4 KiB), with a 502: then
every sign-in works but that of an agent with many permissions. No agent is needed to find out: the
website's answer to many of its own login cookies, which it clears, is as large.
"""

from __future__ import annotations

from auth_agent.doctor.checks.cookies import login_cookie
from auth_agent.doctor.finding import Finding, warning
from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpRequest
from auth_agent.website.config.settings import Settings

COUNT = 50
NAME_LENGTH = 72  # so that the answer clears more than 4 KiB, and the request stays below that
GATEWAY = (500, 502, 503, 504)

_ACCEPT = ("Accept", "application/json")


def examine_large_cookies(settings: Settings, visited: str) -> Flow[list[Finding]]:
    """Compares a small answer with a large one; says nothing where sessions are in a store."""
    url = f"{visited}{settings.prefix}/login"
    if settings.store_url is not None:
        return []
    try:
        small = yield from send(HttpRequest("GET", url, (_ACCEPT,)))
    except AuthError:
        return []
    name = (login_cookie(small) or "").partition("=")[0]
    begin = name[: name.find("_login_") + len("_login_")]
    if not 300 <= small.status < 400 or not begin:
        return []
    names = [f"{begin}{number}_".ljust(NAME_LENGTH, "x") for number in range(COUNT)]
    cookies = "; ".join(f"{name}=x" for name in names)
    try:
        large = yield from send(HttpRequest("GET", url, (_ACCEPT, ("Cookie", cookies))))
    except ServerUnavailable:
        return [_refused("the connection breaks")]
    except AuthError:
        return []
    return [_refused(f"{large.status}")] if large.status in GATEWAY else []


def _refused(answer: str) -> Finding:
    return warning(
        "website.large_cookies",
        f"A response with more than 3 KB of cookies does not get through ({answer}): the sign-in "
        "of an agent with many permissions would fail.",
        "Give the proxy room for the response's headers (nginx: proxy_buffer_size 8k), or keep "
        "sessions in Redis (AUTH_AGENT_SESSION_STORE), where the cookie is small.",
    )
