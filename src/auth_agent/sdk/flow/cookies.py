"""Cookies in the way of browsers, and in curl's format."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.request import Request

from auth_agent.url import is_loopback

if TYPE_CHECKING:
    import httpx2

_HEADER = "# Netscape HTTP Cookie File"
MAX_COOKIES = 300
_DOTLESS = ".local"  # what the standard library appends to a host without a dot


class _BoundedPolicy(DefaultCookiePolicy):
    """Refuses new cookies once there are many; known ones are still replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.jar = CookieJar(self)

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        if not super().set_ok(cookie, request):
            return False
        known = {(one.domain, one.path, one.name) for one in self.jar}
        return len(known) < MAX_COOKIES or (cookie.domain, cookie.path, cookie.name) in known


class _LoopbackPolicy(DefaultCookiePolicy):
    """Lets Secure cookies go to a loopback host over http, as browsers do."""

    def return_ok_secure(self, _cookie: Cookie, request: Any) -> bool:
        return is_loopback(request.host.rpartition(":")[0] or request.host)


def new_jar() -> CookieJar:
    """Returns a jar whose size no website can exceed."""
    return _BoundedPolicy().jar


def add_secure_cookies(request: httpx2.Request, jar: CookieJar) -> None:
    """Adds the jar's Secure cookies to a request over http to a loopback host, and to no other."""
    if request.url.scheme != "http" or not is_loopback(request.url.host):
        return
    secure = CookieJar(_LoopbackPolicy())
    for cookie in jar:
        if cookie.secure:
            secure.set_cookie(cookie)
    probe = Request(str(request.url))  # noqa: S310  # it is never opened
    secure.add_cookie_header(probe)
    known = [pair for pair in request.headers.get("cookie", "").split("; ") if pair]
    names = {pair.partition("=")[0] for pair in known}
    found = (probe.get_header("Cookie") or "").split("; ")
    added = [pair for pair in found if pair and pair.partition("=")[0] not in names]
    if added:
        request.headers["Cookie"] = "; ".join([*known, *added])


def netscape(cookies: Iterable[Cookie], host: str) -> str:
    """Returns the cookies of one host in the format of `curl -b FILE`."""
    return "\n".join([_HEADER, *_lines(cookies, host), ""])


def _lines(cookies: Iterable[Cookie], host: str) -> Iterator[str]:
    now = time.time()
    for cookie in cookies:
        domain = cookie.domain.lower()
        if "." not in host.strip("[]") and domain.endswith(_DOTLESS):
            domain = domain.removesuffix(_DOTLESS)
        bare = domain.lstrip(".")
        is_its = host == bare or (domain.startswith(".") and host.endswith(f".{bare}"))
        value = cookie.value or ""
        is_clean = all(text.isprintable() and text for text in (cookie.name, cookie.path))
        if not is_its or cookie.is_expired(int(now)) or not (is_clean and value.isprintable()):
            continue
        prefix = "#HttpOnly_" if cookie.has_nonstandard_attr("HttpOnly") else ""
        flags = ("TRUE" if domain.startswith(".") else "FALSE", cookie.path)
        secure, expires = "TRUE" if cookie.secure else "FALSE", str(cookie.expires or 0)
        yield "\t".join((f"{prefix}{domain}", *flags, secure, expires, cookie.name, value))
