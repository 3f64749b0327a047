"""Why a callback belongs to no sign-in of this browser, as far as the browser itself shows it.

Everything here is read from the request, or was kept for the very session that the request brings:
a stranger who holds a state learns nothing about the sign-in behind it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from auth_agent.errors import SignInRefused
from auth_agent.url import is_loopback, normal_origin, url_problem
from auth_agent.website.config.settings import Settings
from auth_agent.website.recognition.session import cookie_name
from auth_agent.website.web.visit import Visit

MAX_HOST = 100


def refuse_unreadable() -> SignInRefused:
    """Returns the refusal of a cookie that no secret of this process opens."""
    return SignInRefused(
        "This website cannot decrypt the cookie of this sign-in: it was made with another "
        "secret. Start again. If it happens again, ask the website's operator: is "
        "AUTH_AGENT_SECRET the same in every worker? `auth-agent doctor` checks it.",
        code="login_cookie_unreadable",
    )


def refuse_without_cookie(visit: Visit, settings: Settings) -> SignInRefused:
    """Returns the refusal of a callback without the cookie of its sign-in."""
    elsewhere = _other_host(visit, settings)
    if elsewhere is not None:
        return SignInRefused(
            f"The sign-in ended at {elsewhere}, and this website is {settings.base_url}: a browser "
            f"does not send the cookies of one to the other. Start again at {settings.base_url}; "
            f"if {elsewhere} is right, its operator has to set AUTH_AGENT_BASE_URL to it.",
            code="other_host",
        )
    if cookie_name(settings) not in (visit.cookie_header or ""):
        return SignInRefused(
            "Your browser sent no cookie of this website: it blocks or loses cookies, or this "
            "sign-in ended or expired long ago. Allow cookies for this website, then start again.",
            code="login_cookie_missing",
        )
    return refuse_unknown()


def refuse_unknown() -> SignInRefused:
    return SignInRefused(
        "This browser did not start this sign-in, or has completed it already. If you are not "
        "signed in, start again.",
        code="state_unknown",
    )


def refuse_expired() -> SignInRefused:
    return SignInRefused(
        "This sign-in was started too long ago; it must end within 30 minutes. Start again.",
        code="state_expired",
    )


def refuse_reused() -> SignInRefused:
    return SignInRefused(
        "This sign-in was completed before; its address works once. If you are not signed in, "
        "start again.",
        code="state_reused",
    )


def _other_host(visit: Visit, settings: Settings) -> str | None:
    """Returns the origin that the browser came to, if it is not the website's own.

    The name between a proxy and this process is no name that a browser used, and is shown to no
    visitor: beside a public base URL, a loopback address or a host without a dot.
    """
    host, base_url = visit.header("host") or "", settings.base_url
    origin = f"{base_url.partition('://')[0]}://{host}"
    if len(host) > MAX_HOST or "/" in host or _is_wrong(origin):
        return None
    origin = normal_origin(origin)
    if origin == base_url or (_is_internal(origin) and not _is_internal(base_url)):
        return None
    return origin


def _is_wrong(origin: str) -> bool:
    """Returns whether this is no origin; a developer's address on http is one."""
    return url_problem(f"https:{origin.partition(':')[2]}", origin=True) is not None


def _is_internal(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return is_loopback(host) or "." not in host
