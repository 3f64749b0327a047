"""An agent that drives a browser signs in: it answers the waiting page over a way of its own.

What the page says is only its request's id, and only where the browser shows the authorization
endpoint of a pinned issuer: a page that imitates it is on another origin.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from auth_agent.errors import AuthError, SettingsError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.html import excerpt, is_request_id, request_ids
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.flow.effects import Flow, Shown, await_url, now, read_page, report, wait
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.consent import SignInOptions, answer
from auth_agent.sdk.sign_in.discovery import PinnedIssuers
from auth_agent.url import normal_origin, url_problem

ARRIVAL_SECONDS = 10.0
BETWEEN_SECONDS = 0.05


class PageSignIn(msgspec.Struct, frozen=True, kw_only=True):
    """The website that the browser is signed in to now, and the page it shows."""

    website: str
    client_name: str
    scopes: frozenset[str]
    url: str


def sign_in_page(
    options: Options, website: str | None, *, wanted: SignInOptions, within: float
) -> Flow[PageSignIn]:
    """Until the browser is back on the website; raises as a sign-in does."""
    options.check_credential()
    if website is not None:
        if problem := url_problem(website, origin=True):
            raise SettingsError([f"website {problem}"])
        website = normal_origin(website)
    journey = Journey(ends_at=(yield from now()) + within, timeout=options.timeout)
    shown, issuer = yield from _arrive(options, website, journey)
    found = request_ids(_as_answer(shown))
    if len(found) != 1 or not is_request_id(next(iter(found))):
        said = excerpt(_as_answer(shown))
        raise AuthError(f"The server shows no waiting page, but: {said}", code="sign_in_failed")
    yield from report("waiting_page_found", "the server's page waits for the agent", shown.url)
    request_id = next(iter(found))
    request = yield from answer(issuer, request_id, website, options, journey, wanted=wanted)
    there = yield from _await_return(request.origin, journey)
    yield from report("signed_in", f"signed in to {request.origin}", there.url, there.status)
    return PageSignIn(
        website=request.origin,
        client_name=request.client_name,
        scopes=request.scopes,
        url=there.url,
    )


def _arrive(options: Options, website: str | None, journey: Journey) -> Flow[tuple[Shown, str]]:
    """The waiting page and its issuer, once the browser is there; a click may be under way."""
    pinned = PinnedIssuers(options.issuers)
    origins = {normal_origin(issuer) for issuer in options.issuers}
    first = yield from _read(journey)
    if normal_origin(first.url) not in origins and not request_ids(_as_answer(first)):
        left = min(ARRIVAL_SECONDS, (yield from journey.seconds_left()))
        if not (yield from await_url(_on(origins), left)):
            raise _elsewhere((yield from _read(journey)).url)
    shown = yield from _read(journey)
    if normal_origin(shown.url) not in origins:
        raise _elsewhere(shown.url)
    issuer = yield from pinned.recognise(shown.url, website or "", journey)
    if issuer is None:
        raise _elsewhere(shown.url)
    return shown, issuer


def _await_return(website: str, journey: Journey) -> Flow[Shown]:
    """The waiting page leads back by itself."""
    if not (yield from await_url(_on({website}), (yield from journey.seconds_left()))):
        raise journey.too_late()
    shown = yield from _read(journey)
    if shown.status is not None and shown.status >= 400:
        said = excerpt(_as_answer(shown))
        raise AuthError(
            f"{website} did not take the sign-in ({shown.status}): {said}", code="sign_in_failed"
        )
    return shown


def _read(journey: Journey) -> Flow[Shown]:
    while (shown := (yield from read_page())) is None:
        if (yield from journey.seconds_left()) <= 0:
            raise journey.too_late()
        yield from wait(BETWEEN_SECONDS)
    found: Shown = shown
    return found


def _on(origins: set[str]) -> Callable[[str], bool]:
    def accept(url: str) -> bool:
        return url_problem(url.partition("#")[0], query=True) is None and (
            normal_origin(url) in origins
        )

    return accept


def _as_answer(shown: Shown) -> HttpResponse:
    return HttpResponse(shown.status or 200, {"content-type": "text/html"}, shown.html.encode())


def _elsewhere(url: str) -> AuthError:
    return AuthError(
        f"The browser shows {url.partition('?')[0]}, which is not the sign-in page of an allowed "
        "issuer. Nothing was sent; if you trust it with this agent, add it to allowed_issuers.",
        code="issuer_not_allowed",
        status_code=403,
    )
