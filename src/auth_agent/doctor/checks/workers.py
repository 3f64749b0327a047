"""Returns whether a sign-in that begins in one worker ends in another: all need the same secret.

Each request has a connection of its own, so that whatever spreads them can choose a worker.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from auth_agent.doctor.checks.cookies import login_cookie
from auth_agent.doctor.finding import Finding, failure, ok
from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.website.config.settings import Settings

TRIES = 4
ENDED = "auth_agent_doctor"
"""The error that ends each of them; the website's log names it as the cause."""

_OWN_CONNECTION = (("Accept", "application/json"), ("Connection", "close"))


def examine_workers(settings: Settings, visited: str) -> Flow[list[Finding]]:
    """Begins sign-ins and ends each with an error; says nothing where none can be begun."""
    causes = []
    for _ in range(TRIES):
        try:
            cause = yield from _try(settings, f"{visited}{settings.prefix}")
        except AuthError:
            return []
        causes.append(cause)
        if cause in _TROUBLES:
            return [_TROUBLES[cause]]
    if set(causes) != {ENDED}:
        return []
    message = (
        f"{TRIES} sign-ins were started and completed, in any of the workers: all workers have "
        "the same secret."
    )
    return [ok("website.workers", message)]


def _try(settings: Settings, routes: str) -> Flow[str]:
    """Returns the code of the refusal that ends this sign-in."""
    begun = yield from send(HttpRequest("GET", f"{routes}/login", _OWN_CONNECTION))
    cookie = login_cookie(begun)
    state = dict(parse_qsl(_query(begun))).get("state")
    if cookie is None or state is None:
        return ""
    answer = urlencode({"state": state, "iss": settings.issuer, "error": ENDED})
    headers = (*_OWN_CONNECTION, ("Cookie", cookie))
    ended = yield from send(HttpRequest("GET", f"{routes}/callback?{answer}", headers))
    try:
        document = msgspec.json.decode(ended.body, type=dict[str, object])
    except ValueError:
        return ""
    if ENDED in str(document.get("error_description")):
        return ENDED
    return str(document.get("error"))


def _query(response: HttpResponse) -> str:
    try:
        return urlsplit(response.headers.get("location", "")).query
    except ValueError:
        return ""


_TROUBLES = {
    "login_cookie_unreadable": failure(
        "website.secrets_differ",
        "A sign-in that began in one worker of the website could not be completed in another: "
        "they have different secrets.",
        "Set the same AUTH_AGENT_SECRET in every worker and on every machine (and the same "
        "AUTH_AGENT_ISSUER, AUTH_AGENT_CLIENT_ID and AUTH_AGENT_BASE_URL), then restart them all.",
    ),
    "login_cookie_missing": failure(
        "website.cookie_lost",
        "The cookie of a sign-in does not reach the website: every sign-in would fail with "
        "login_cookie_missing.",
        "Let the proxy forward the header Cookie unchanged.",
    ),
}
