"""An agent that drives a browser signs in: it answers the waiting page over its own connection.

The page decides nothing but which request is answered, and only where the browser shows the
authorization endpoint of a pinned issuer: a page that imitates it is on another origin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from auth_agent.errors import AuthError, SettingsError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.html import excerpt, is_request_id, request_ids
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.flow.effects import Flow, Shown, await_url, now, read_page, report, wait
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.code import redirect_error
from auth_agent.sdk.sign_in.consent import SignInOptions, answer
from auth_agent.sdk.sign_in.discovery import PinnedIssuers
from auth_agent.sdk.text import one_line
from auth_agent.url import normal_origin, url_problem

ARRIVAL_SECONDS = 10.0
BETWEEN_SECONDS = 0.05
REFUSALS = (401, 403)


class PageSignIn(msgspec.Struct, frozen=True, kw_only=True):
    """The website that the browser is signed in to now, and the page it shows."""

    website: str
    client_name: str
    scopes: frozenset[str]
    url: str


class Attempt(NamedTuple):
    """A sign-in under way in a browser."""

    options: Options
    pinned: PinnedIssuers
    journey: Journey
    wanted: SignInOptions


def sign_in_page(
    options: Options, website: str | None, *, wanted: SignInOptions, within: float
) -> Flow[PageSignIn]:
    """Returns once the browser is back on the website; raises as a sign-in does."""
    options.check_credential()
    website = read_website(website, options)
    journey = Journey(ends_at=(yield from now()) + within, timeout=options.timeout)
    pinned = PinnedIssuers(options.issuers)
    shown, issuer = yield from _arrive(pinned, website, journey)
    return (
        yield from answer_page(shown, issuer, website, Attempt(options, pinned, journey, wanted))
    )


def read_website(website: str | None, options: Options) -> str | None:
    """Returns the origin that the caller means, if any; raises if it is none, or not allowed."""
    if website is None:
        return None
    if problem := url_problem(website, origin=True):
        raise SettingsError([f"website {problem}"])
    options.check_website(website)
    return normal_origin(website)


def answer_page(
    shown: Shown, issuer: str, website: str | None, attempt: Attempt
) -> Flow[PageSignIn]:
    """Answers the waiting page that the browser shows, and waits for the website's page."""
    options, pinned, journey, wanted = attempt
    found = request_ids(as_answer(shown))
    if len(found) != 1 or not is_request_id(next(iter(found))):
        said = excerpt(as_answer(shown))
        raise AuthError(f"The server shows no waiting page, but: {said}", code="sign_in_failed")
    yield from report("waiting_page_found", "the server's page waits for the agent", shown.url)
    request_id = next(iter(found))
    request = yield from answer(issuer, request_id, website, options, journey, wanted=wanted)
    there = yield from _await_return(request.origin, issuer, pinned, journey)
    remark = f"; its page answers {there.status}" if (there.status or 200) >= 400 else ""
    text = f"signed in to {request.origin}{remark}"
    yield from report("signed_in", text, there.url, there.status)
    return PageSignIn(
        website=request.origin,
        client_name=request.client_name,
        scopes=request.scopes,
        url=there.url,
    )


def _arrive(
    pinned: PinnedIssuers, website: str | None, journey: Journey
) -> Flow[tuple[Shown, str]]:
    """Returns the waiting page and its issuer once the browser is there, if a click leads there."""
    first = yield from read_shown(journey)
    if normal_origin(first.url) not in pinned.origins and not request_ids(as_answer(first)):
        left = min(ARRIVAL_SECONDS, (yield from journey.seconds_left()))
        if not (yield from await_url(_on(pinned.origins), left)):
            raise elsewhere((yield from read_shown(journey)).url)
    shown = yield from read_shown(journey)
    if normal_origin(shown.url) not in pinned.origins:
        raise elsewhere(shown.url)
    issuer = yield from pinned.recognise(shown.url, website or "", journey)
    if issuer is None:
        raise elsewhere(shown.url)
    return shown, issuer


def _await_return(
    website: str, issuer: str, pinned: PinnedIssuers, journey: Journey
) -> Flow[Shown]:
    """Waits for the website's page, also if the issuer lies on the website's origin."""

    def is_back(url: str) -> bool:
        return _on({website})(url) and not pinned.is_own_page(url, issuer)

    if not (yield from await_url(is_back, (yield from journey.seconds_left()))):
        raise journey.too_late()
    shown = yield from read_shown(journey)
    cause = redirect_error(shown.url)
    if shown.status in REFUSALS or (cause and (shown.status or 400) >= 400):
        said = ". ".join(part for part in (cause, excerpt(as_answer(shown))) if part)
        raise AuthError(
            f"{website} did not accept the sign-in ({shown.status}): {said}", code="sign_in_failed"
        )
    return shown


def read_shown(journey: Journey) -> Flow[Shown]:
    while (shown := (yield from read_page())) is None:
        if (yield from journey.seconds_left()) <= 0:
            raise journey.too_late()
        yield from wait(BETWEEN_SECONDS)
    found: Shown = shown
    return found


def _on(origins: frozenset[str] | set[str]) -> Callable[[str], bool]:
    def accept(url: str) -> bool:
        return url_problem(url.partition("#")[0], query=True) is None and (
            normal_origin(url) in origins
        )

    return accept


def as_answer(shown: Shown) -> HttpResponse:
    return HttpResponse(shown.status or 200, {"content-type": "text/html"}, shown.html.encode())


def elsewhere(url: str) -> AuthError:
    """Tells the server's own refusal first, if the browser was redirected with one."""
    if cause := redirect_error(url):
        return AuthError(
            f"The server refused the website's request: {cause}.", code="sign_in_failed"
        )
    return AuthError(
        f"The browser shows {one_line(url.partition('?')[0])}, which is not the sign-in page of an "
        "allowed issuer. Nothing was sent. If you trust it with this agent's credentials, add it "
        "to allowed_issuers (`--issuer` on the command line).",
        code="issuer_not_allowed",
        status_code=403,
    )
