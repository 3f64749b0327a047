"""Signs an agent in to a website in a browser that another program drives, over CDP."""

from __future__ import annotations

from urllib.parse import urldefrag

from auth_agent.errors import AuthError
from auth_agent.sdk.exchange.journey import Journey, check_hop
from auth_agent.sdk.flow.effects import (
    Flow,
    Shown,
    choose_page,
    connect_browser,
    go_to,
    now,
    report,
)
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.consent import SignInOptions
from auth_agent.sdk.sign_in.discovery import PinnedIssuers
from auth_agent.sdk.sign_in.offer import read_offer
from auth_agent.sdk.sign_in.page import (
    Attempt,
    PageSignIn,
    answer_page,
    as_answer,
    elsewhere,
    read_shown,
    read_website,
)
from auth_agent.url import normal_origin, url_problem

ARRIVAL_SECONDS = 10.0
LOOK_SECONDS = 0.2
CONNECT_SECONDS = 10.0
MAX_OFFERS = 3


def sign_in_browser(
    cdp_url: str,
    url: str | None,
    options: Options,
    website: str | None,
    *,
    wanted: SignInOptions,
    within: float,
) -> Flow[PageSignIn]:
    """Opens `url` in the browser and signs in there; raises as a sign-in does.

    Without `url` it answers the waiting page that one of the tabs shows.
    """
    options.check_credential()
    website = read_website(website, options)
    if url is not None:
        url = urldefrag(url).url
        check_hop(url)
        website = normal_origin(url)
        options.check_website(website)
    journey = Journey(ends_at=(yield from now()) + within, timeout=options.timeout)
    pinned = PinnedIssuers(options.issuers)
    seconds = min(CONNECT_SECONDS, (yield from journey.seconds_left()))
    yield from connect_browser(cdp_url, max(seconds, 0.1))
    if url is None:
        shown, issuer = yield from _find_waiting(pinned, website, journey)
    else:
        shown, issuer = yield from _open(url, normal_origin(url), pinned, journey)
    return (
        yield from answer_page(shown, issuer, website, Attempt(options, pinned, journey, wanted))
    )


def _find_waiting(
    pinned: PinnedIssuers, website: str | None, journey: Journey
) -> Flow[tuple[Shown, str]]:
    """Returns the waiting page of the tab that shows one; a click may be under way."""
    left = ARRIVAL_SECONDS
    while not (yield from choose_page(lambda url: _origin(url) in pinned.origins)):
        if left <= 0:
            raise AuthError(
                "No tab of the browser shows the sign-in page of an allowed issuer. Press the "
                "website's sign-in button first, or give the URL of the page that you need.",
                code="not_a_sign_in",
            )
        yield from journey.rest(LOOK_SECONDS)
        left -= LOOK_SECONDS
    shown = yield from read_shown(journey)
    issuer = None
    if _origin(shown.url) in pinned.origins:
        issuer = yield from pinned.recognise(shown.url, website or "", journey)
    if issuer is None:
        raise elsewhere(shown.url)
    return shown, issuer


def _open(
    url: str, website: str, pinned: PinnedIssuers, journey: Journey
) -> Flow[tuple[Shown, str]]:
    """Leads a tab from the website's page to the waiting page of a pinned issuer."""
    yield from choose_page(lambda found: _origin(found) == website, or_blank=True)
    for _ in range(MAX_OFFERS):
        if not (yield from go_to(url, (yield from journey.seconds_left()))):
            raise journey.too_late()
        shown = yield from read_shown(journey)
        origin = _origin(shown.url)
        if origin in pinned.origins:
            issuer = yield from pinned.recognise(shown.url, website, journey)
            if issuer is not None:
                return shown, issuer
        if origin != website:
            raise elsewhere(shown.url)
        answer = as_answer(shown)
        offer = read_offer(shown.url, answer, website, pinned.issuers, follow_form=False)
        text = f"{website} {offer.found}"
        yield from report("login_offered", text, shown.url, shown.status)
        url = offer.request.url
    raise AuthError(
        f"The sign-in link of {website} leads back to the same page.", code="not_a_sign_in"
    )


def _origin(url: str) -> str:
    """Returns the origin of a tab's URL; nothing for one that is no page of the web."""
    url = url.partition("#")[0]
    return "" if url_problem(url, query=True) else normal_origin(url)
