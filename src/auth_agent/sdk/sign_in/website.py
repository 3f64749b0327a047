"""An agent signs in to a website, from the website's page to a session of its own.

The agent's credentials go to a pinned issuer's own endpoint and nowhere else: what a page says
decides neither where they are sent, nor what for.

The codes of a refused sign-in: `insecure_url`, `too_many_redirects`, `timeout`,
`website_unavailable`, `website_not_allowed`, `not_a_sign_in`, `issuer_not_allowed`,
`website_mismatch`, `scope_not_allowed`, `invalid_credentials`, `clock_wrong`, `model_missing`,
`two_factor_required`, `invalid_code`, `rate_limited`, `request_expired`, `access_denied`,
`owner_silent`, `owner_unavailable`, `sign_in_failed`; of a server that is away or strange:
`server_unavailable`, `tls_failed`,
`dns_failed`, `proxy_failed`, `unexpected_page`, `server_misbehaved`, `metadata_missing`,
`metadata_invalid`, `issuer_mismatch`, `request_unclear`, `answer_compressed`, `answer_too_large`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qsl, urldefrag, urlsplit

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.exchange.html import excerpt, is_request_id, request_ids
from auth_agent.sdk.exchange.journey import PAGE, Journey, check_hop, readable, redirect_target
from auth_agent.sdk.exchange.reach import check_reach
from auth_agent.sdk.flow.effects import Flow, now, report
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.code import callback_url, redirect_error
from auth_agent.sdk.sign_in.consent import SignInOptions, answer, await_code
from auth_agent.sdk.sign_in.discovery import PinnedIssuers
from auth_agent.sdk.sign_in.landing import Landing, check_landing, failed, report_landing
from auth_agent.sdk.sign_in.offer import not_allowed, read_offer
from auth_agent.sdk.text import one_line
from auth_agent.url import normal_origin, url_problem

__all__ = ["Gateway", "Landing", "answer", "open_request", "sign_in"]

OWN_CAUSES = ("proxy_failed", "tls_failed")  # more exact than that the website is away


MAX_ROUNDS = 2  # a sign-in, and the approval of the act that its page is


class Gateway(NamedTuple):
    """The authorization request that a website led to, and the issuer that takes it."""

    url: str
    issuer: str


def sign_in(url: str, options: Options, *, wanted: SignInOptions, within: float) -> Flow[Landing]:
    """Returns the website's page as the signed-in agent sees it; raises the codes above.

    `url` is a page that needs an agent, a page that offers the sign-in, or an authorization
    request of a pinned issuer; the website is then the origin of its redirect URI.
    """
    options.check_credential()
    url = urldefrag(url).url
    check_hop(url)
    journey = Journey(ends_at=(yield from now()) + within, timeout=options.timeout)
    pinned = PinnedIssuers(options.issuers)
    gateway, website = yield from _begun(url, pinned, journey)
    options.check_website(website)
    if gateway is None:
        gateway = yield from _find_gateway(url, options, pinned, journey, wanted)
        journey.signs = True
    for rounds_left in reversed(range(MAX_ROUNDS)):
        request_id = yield from open_request(gateway, website, journey)
        yield from answer(gateway.issuer, request_id, website, options, journey, wanted=wanted)
        code = yield from await_code(gateway.issuer, request_id, website, journey)
        return_url = callback_url(code, gateway.issuer)
        landing = yield from _return(return_url, website, journey, pinned if rounds_left else None)
        if isinstance(landing, Landing):
            break
        gateway = landing
    assert isinstance(landing, Landing)  # noqa: S101  # the last round has no other end
    check_landing(landing, website)
    yield from report_landing(landing, website)
    return landing


def _begun(url: str, pinned: PinnedIssuers, journey: Journey) -> Flow[tuple[Gateway | None, str]]:
    """Returns the sign-in that a website has begun already, if the URL is one, and the website."""
    if _is_authorization_request(url) and normal_origin(url) in pinned.origins:
        issuer = yield from pinned.recognise(url, "", journey)
        redirect_uri = dict(parse_qsl(urlsplit(url).query)).get("redirect_uri", "")
        if issuer is not None:
            if problem := url_problem(redirect_uri, query=True):
                raise failed(
                    f"The redirect_uri of this authorization request {problem}. It says which "
                    "website is meant; without one give the website's own URL."
                )
            return Gateway(url, issuer), normal_origin(redirect_uri)
    return None, normal_origin(url)


def _find_gateway(
    url: str, options: Options, pinned: PinnedIssuers, journey: Journey, wanted: SignInOptions
) -> Flow[Gateway]:
    """Goes from the website's page to its pinned issuer; an error says where the way ended."""
    website = normal_origin(url)
    request = HttpRequest("GET", url, (PAGE,))
    offered: set[tuple[str, str]] = set()
    while True:
        url = request.url
        response = yield from _open(request, website, journey)
        target = redirect_target(url, response)
        if target is not None:
            request = HttpRequest("GET", target, (PAGE,))
            yield from report("redirected", _way_on(target), url, response.status)
        else:
            try:
                request = yield from _take_offer(Landing(url, response), website, pinned, wanted)
            except AuthError as error:
                if (
                    error.code != "not_a_sign_in"
                    or not journey.signs
                    or options.signing_key is None
                ):
                    raise
                # The website may know the agent by its signature, and then offers no login.
                journey.signs = False
                continue
            if (request.method, request.url) in offered:
                raise AuthError(
                    f"The sign-in link of {website} leads back to the same page.",
                    code="not_a_sign_in",
                )
            offered.add((request.method, request.url))
        check_hop(request.url, came_from=url)
        issuer = yield from pinned.recognise(request.url, website, journey)
        if issuer is not None:
            return Gateway(request.url, issuer)
        yield from _check_way(request.url, website, pinned)


def _take_offer(
    landing: Landing, website: str, pinned: PinnedIssuers, wanted: SignInOptions
) -> Flow[HttpRequest]:
    url, response = landing.url, landing.response
    if request_ids(readable(response)):
        raise not_allowed(normal_origin(url))
    offer = read_offer(url, response, website, pinned.issuers, follow_form=wanted.follow_form)
    yield from report("login_offered", f"{website} {offer.found}", url, response.status)
    return offer.request


def _check_way(target: str, website: str, pinned: PinnedIssuers) -> Flow[None]:
    """Raises before anything is sent to another server's sign-in, or to a host inside."""
    origin = normal_origin(target)
    if origin == website or origin in pinned.origins:
        return
    if _is_authorization_request(target):
        raise not_allowed(origin)
    yield from check_reach(target, website)


def open_request(gateway: Gateway, website: str, journey: Journey) -> Flow[str]:
    """Returns the request id on the waiting page of the issuer itself."""
    response = yield from journey.visit(gateway.url)
    target = redirect_target(gateway.url, response)
    if target is not None:  # RFC 6749 4.1.2.1: the redirect carries the error
        check_hop(target, came_from=gateway.url)
        yield from _refused(target, website, journey)
    if response.status == 429 or response.status >= 500:
        raise ServerUnavailable(
            f"The Auth Agent server answers {response.status}; try again in a few seconds."
        )
    response = readable(response)
    found = request_ids(response)
    if response.status != 200 or len(found) != 1 or not is_request_id(next(iter(found))):
        raise failed(f"The server shows no waiting page, but: {excerpt(response)}")
    text = "the server's page waits for the agent"
    yield from report("waiting_page_found", text, gateway.url, response.status)
    return next(iter(found))


def _refused(target: str, website: str, journey: Journey) -> Flow[None]:
    """Raises with the server's own error first, then with what the website makes of it."""
    if normal_origin(target) != website:
        raise failed("The server refused the website's request and redirected to another website.")
    cause = redirect_error(target) or "it gave no error"
    said = ""
    with suppress(AuthError):  # the cause is known already
        landing = yield from _return(target, website, journey)
        if isinstance(landing, Landing):
            said = f" The website's page says: {excerpt(landing.response)}"
    raise failed(f"The server refused the website's request: {cause}.{said}")


def _return(
    url: str, website: str, journey: Journey, pinned: PinnedIssuers | None = None
) -> Flow[Landing | Gateway]:
    """Carries the code to the website, and follows it to the page that the sign-in was for.

    That page may need the owner's approval: with `pinned` it leads to the issuer once more.
    """
    is_callback = True
    while True:
        response = yield from _open(HttpRequest("GET", url, (PAGE,)), website, journey)
        target = redirect_target(url, response)
        text = "the page that the sign-in was for" if target is None else _way_on(target)
        yield from report("returned", text, url, response.status)
        if target is None:
            return Landing(url, readable(response), is_callback)
        check_hop(target, came_from=url)
        if normal_origin(target) != website:
            issuer = pinned and (yield from pinned.recognise(target, website, journey))
            if issuer:
                return Gateway(target, issuer)
            raise failed(f"{website} sends the agent away again, to {normal_origin(target)}.")
        url, is_callback = target, False


def _way_on(target: str) -> str:
    return f"redirects to {one_line(target.partition('?')[0])}"


def _open(request: HttpRequest, website: str, journey: Journey) -> Flow[HttpResponse]:
    try:
        return (yield from journey.open(request))
    except ServerUnavailable as error:
        whose = "website" if normal_origin(request.url) == website else "page it redirects to"
        code = error.code if error.code in OWN_CAUSES else "website_unavailable"
        raise ServerUnavailable(
            f"The {whose} cannot be reached: {error.description}", code=code
        ) from None


def _is_authorization_request(url: str) -> bool:
    """Looks for the parameters that make a URL the start of a sign-in (RFC 6749 4.1.1)."""
    names = {name for name, _ in parse_qsl(urlsplit(url).query)}
    return names >= {"response_type", "client_id"}
