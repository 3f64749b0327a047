"""Headers of a response that depends on the agent."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from auth_agent.website.web.replies import NO_STORE
from auth_agent.website.web.visit import Cookie

# What a shared cache obeys instead of Cache-Control: targeted fields (RFC 9213 2.2: CDN, Akamai,
# Cloudflare, Netlify, Vercel, LiteSpeed, ...), Fastly and Varnish, Akamai, nginx.
_TARGETED = "-cache-control"
_FOR_SHARED_CACHES = frozenset(
    {"surrogate-control", "edge-control", "x-accel-expires", "x-varnish-ttl", "x-cache-ttl"}
)
_OF_CONTENT = frozenset({b"content-type", b"content-length"})  # in nearly every response


def has_cache_headers(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Returns whether a header tells a cache what to store."""
    for name, _ in headers:  # noqa: SIM110  # quicker than any()
        if name not in _OF_CONTENT and _tells_caches(name):
            return True
    return False


@lru_cache(maxsize=256)
def _tells_caches(name: bytes) -> bool:
    lower = name.lower().decode("latin-1")
    return lower in ("vary", "cache-control") or _tells_shared_caches(lower)


def _tells_shared_caches(name: str) -> bool:
    return name in _FOR_SHARED_CACHES or name.endswith(_TARGETED)


def is_page(headers: Iterable[tuple[str, str]]) -> bool:
    """Returns whether a response is HTML."""
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/html")
        for name, value in headers
    )


def link_headers(headers: Iterable[tuple[str, str]], link: str) -> list[tuple[str, str]]:
    """Adds a `Link`, in one header with the existing ones (RFC 8288 3)."""
    pairs = list(headers)
    links = [value for name, value in pairs if name.lower() == "link"]
    kept = [pair for pair in pairs if pair[0].lower() != "link"]
    return [*kept, ("Link", ", ".join([*links, link]))]


def private_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the headers of a response that no shared cache may store."""
    kept, vary, control = [], [], []
    for name, value in headers:
        lower = name.lower()
        if lower == "vary":
            vary += _parts(value)
        elif lower == "cache-control":
            control += _parts(value)
        elif not _tells_shared_caches(lower):
            kept.append((name, value))
    named = {part.lower() for part in vary}
    if "*" not in named:
        vary += [name for name in ("Cookie", "Authorization") if name.lower() not in named]
    control = [part for part in control if not part.lower().startswith(("public", "s-maxage"))]
    if _may_be_shared({part.lower() for part in control}):
        control.append("private")
    return [*kept, ("Vary", ", ".join(vary)), ("Cache-Control", ", ".join(control))]


def _may_be_shared(control: set[str]) -> bool:
    """Returns False if no shared cache stores the response.

    A cache that knows `must-understand` passes over `no-store` (RFC 9111 5.2.2.3).
    """
    is_stored = "no-store" not in control or "must-understand" in control
    return "private" not in control and is_stored


def cookie_headers(
    headers: Iterable[tuple[str, str]], cookies: Iterable[Cookie]
) -> list[tuple[str, str]]:
    """Adds cookies of ours to a response, which no cache may store then."""
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() != "cache-control" and not _tells_shared_caches(name.lower())
    ]
    return [*kept, NO_STORE, *(("Set-Cookie", cookie.header()) for cookie in cookies)]


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
