"""The origin and the purpose of a visit, by its headers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from auth_agent.url import normal_origin
from auth_agent.website.web.visit import Visit

_LABEL = re.compile(r"[a-z0-9_-]+")  # the name of a container or a service may hold "_"


def is_navigation(visit: Visit) -> bool:
    """Returns whether the browser navigates, so that it shows the answer as a page."""
    mode = visit.header("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    return _accepts_page(visit)


def wants_page(visit: Visit) -> bool:
    """Returns whether a person will read the answer; a service worker may have fetched it.

    A worker's `fetch(event.request)` keeps the Accept of the page that was asked for, but says
    another mode (Fetch 5.4).
    """
    if is_navigation(visit):
        return True
    fetched = visit.header("sec-fetch-mode") in ("cors", "same-origin", "no-cors")
    is_own = visit.header("sec-fetch-site") == "same-origin"
    return fetched and is_own and _accepts_page(visit)


def _accepts_page(visit: Visit) -> bool:
    accepts_html = "text/html" in (visit.header("accept") or "").lower()
    by_script = (visit.header("x-requested-with") or "").lower() == "xmlhttprequest"
    return accepts_html and not by_script


def may_start_login(visit: Visit) -> bool:
    """Returns whether a sign-in may start: not for a prefetch, an image or a script.

    Agents and curl send none of these headers.
    """
    return not is_prefetch(visit) and visit.header("sec-fetch-mode") in (None, "navigate")


def is_prefetch(visit: Visit) -> bool:
    purposes = (visit.header(name) or "" for name in ("sec-purpose", "purpose", "x-moz"))
    return any("prefetch" in purpose.lower() for purpose in purposes)


def is_preflight(visit: Visit) -> bool:
    """Returns whether it is a CORS preflight (Fetch 4.8), which never carries credentials."""
    return (
        visit.method == "OPTIONS"
        and visit.header("origin") is not None
        and visit.header("access-control-request-method") is not None
    )


def own_referer(visit: Visit, base_url: str) -> str | None:
    """Returns the page of this website that sent the request."""
    try:
        parts = urlsplit(visit.header("referer") or "")
        if normal_origin(f"{parts.scheme}://{parts.netloc}") != base_url:
            return None
    except ValueError:
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def is_own_request(visit: Visit, base_url: str) -> bool:
    """Returns whether this came from our own pages, or from no page at all (an agent, curl).

    Sec-Fetch-Site decides if it is present, because pages cannot forge it; else Origin.
    """
    site = visit.header("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = visit.header("origin")
    if origin is None:
        return True
    try:
        return normal_origin(origin) == base_url
    except ValueError:
        return False


def is_internal(host: str) -> bool:
    """Returns whether a `Host` header names a machine inside: one label that is not localhost."""
    name = host.partition(":")[0].lower()
    return name != "localhost" and _LABEL.fullmatch(name) is not None
