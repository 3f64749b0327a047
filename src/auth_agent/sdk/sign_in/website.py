"""An agent signs in to a website, from the website's page to a session of its own.

The agent's secret goes to a pinned issuer's own endpoint and nowhere else: what a page says
decides neither where it is sent, nor what for.

The codes of a refused sign-in: `insecure_url`, `too_many_redirects`, `timeout`,
`website_unavailable`, `not_a_sign_in`, `issuer_not_allowed`, `website_mismatch`,
`scope_not_allowed`, `invalid_credentials`, `two_factor_required`, `invalid_code`, `rate_limited`,
`request_expired`, `access_denied`, `sign_in_failed`; of a server that is away or strange:
`server_unavailable`, `tls_failed`, `dns_failed`, `proxy_failed`, `unexpected_page`,
`server_misbehaved`, `metadata_missing`, `metadata_invalid`, `issuer_mismatch`, `request_unclear`,
`answer_compressed`, `answer_too_large`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urldefrag, urlsplit

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.html import excerpt, is_request_id, request_ids
from auth_agent.sdk.exchange.journey import Journey, check_hop, readable, redirect_target, resolve
from auth_agent.sdk.flow.effects import Flow, now, report
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in import approval
from auth_agent.sdk.sign_in.consent import SignInOptions, answer, await_code
from auth_agent.sdk.sign_in.discovery import PinnedIssuers
from auth_agent.url import normal_origin

__all__ = ["Gateway", "Landing", "answer", "open_request", "sign_in"]


class Landing(NamedTuple):
    """The page that a journey ended on."""

    url: str
    response: HttpResponse


class Gateway(NamedTuple):
    """The authorization endpoint that a website led to."""

    url: str
    issuer: str


def sign_in(url: str, options: Options, *, wanted: SignInOptions, within: float) -> Flow[Landing]:
    """The website's page as the signed-in agent sees it; raises the codes above."""
    options.check_credential()
    url = urldefrag(url).url
    check_hop(url)
    website = normal_origin(url)
    journey = Journey(ends_at=(yield from now()) + within, timeout=options.timeout)
    gateway = yield from _find_gateway(url, website, options, journey)
    request_id = yield from open_request(gateway, website, journey)
    yield from answer(gateway.issuer, request_id, website, options, journey, wanted=wanted)
    code = yield from await_code(gateway.issuer, request_id, website, journey)
    return_url = approval.callback_url(code, gateway.issuer)
    landing = yield from _return(return_url, website, journey)
    _check_landing(landing, website)
    yield from report("signed_in", f"signed in to {website}", landing.url, landing.response.status)
    return landing


def _find_gateway(url: str, website: str, options: Options, journey: Journey) -> Flow[Gateway]:
    """From the website's page to its pinned issuer, or an error that says where the way ended."""
    pinned = PinnedIssuers(options.issuers)
    while True:
        response = yield from _visit(url, website, journey)
        target = redirect_target(url, response)
        if target is None:
            target = _offered_login(Landing(url, response), website, pinned)
            text = f"{website} wants an agent to sign in first, and names the door"
            yield from report("login_offered", text, url, response.status)
        else:
            text = _way_on(target)
            yield from report("redirected", text, url, response.status)
        check_hop(target, came_from=url)
        issuer = yield from pinned.recognise(target, website, journey)
        if issuer is not None:
            return Gateway(target, issuer)
        if normal_origin(target) != website and _is_authorization_request(target):
            raise _not_allowed(normal_origin(target))
        url = target


def _offered_login(landing: Landing, website: str, pinned: PinnedIssuers) -> str:
    """The `login_url` in a website's 401; anything else that is no redirect is no sign-in."""
    url, response = landing
    if request_ids(response):
        raise _not_allowed(normal_origin(url))
    if response.status != 401:
        raise AuthError(
            f"{url.partition('?')[0]} answered {response.status} and asked nobody to sign in; "
            "give the URL of a page that needs an agent, or of the website's login.",
            code="not_a_sign_in",
        )
    offer = _read_offer(readable(response))
    if offer is None:
        raise AuthError(
            f"{url.partition('?')[0]} needs a sign-in, but does not say where; give the URL of "
            "the website's login.",
            code="not_a_sign_in",
        )
    login_url = resolve(url, offer.login_url)
    check_hop(login_url, came_from=url)
    if normal_origin(url) != website or normal_origin(login_url) != website:
        raise AuthError(
            f"The login that was offered is not on {website}; nothing was sent there.",
            code="website_mismatch",
            status_code=409,
        )
    if offer.issuer not in pinned:
        raise _not_allowed(offer.issuer)
    return login_url


def open_request(gateway: Gateway, website: str, journey: Journey) -> Flow[str]:
    """The request id on the waiting page of the issuer itself."""
    response = yield from journey.visit(gateway.url)
    target = redirect_target(gateway.url, response)
    if target is not None:  # RFC 6749 4.1.2.1: the website hears what is wrong with its request
        check_hop(target, came_from=gateway.url)
        if normal_origin(target) != website:
            raise _failed("The server refused the website's request and redirected elsewhere.")
        landing = yield from _return(target, website, journey)
        raise _failed(f"The server refused the website's request: {excerpt(landing.response)}")
    if response.status == 429 or response.status >= 500:
        raise ServerUnavailable(
            f"The Auth Agent server answers {response.status}; try again in a few seconds."
        )
    found = request_ids(readable(response))
    if response.status != 200 or len(found) != 1 or not is_request_id(next(iter(found))):
        raise _failed(f"The server shows no waiting page, but: {excerpt(response)}")
    text = "the server's page waits for the agent"
    yield from report("waiting_page_found", text, gateway.url, response.status)
    return next(iter(found))


def _return(url: str, website: str, journey: Journey) -> Flow[Landing]:
    """Carries the code to the website, and follows it to the page that the sign-in was for."""
    while True:
        response = yield from _visit(url, website, journey)
        target = redirect_target(url, response)
        text = "the page that the sign-in was for" if target is None else _way_on(target)
        yield from report("returned", text, url, response.status)
        if target is None:
            return Landing(url, readable(response))
        check_hop(target, came_from=url)
        if normal_origin(target) != website:
            raise _failed(f"{website} sends the agent away again, to {normal_origin(target)}.")
        url = target


def _way_on(target: str) -> str:
    return f"redirects to {target.partition('?')[0]}"


def _check_landing(landing: Landing, website: str) -> None:
    status = landing.response.status
    if status >= 400:
        raise _failed(f"{website} did not take the sign-in ({status}): {excerpt(landing.response)}")


def _visit(url: str, website: str, journey: Journey) -> Flow[HttpResponse]:
    try:
        return (yield from journey.visit(url))
    except ServerUnavailable as error:
        whose = "website" if normal_origin(url) == website else "page it redirects to"
        raise ServerUnavailable(
            f"The {whose} cannot be reached: {error.description}", code="website_unavailable"
        ) from None


class _Offer(msgspec.Struct, frozen=True):
    login_url: str
    issuer: str


def _read_offer(response: HttpResponse) -> _Offer | None:
    try:
        return msgspec.json.decode(response.body, type=_Offer)
    except (ValueError, RecursionError):
        return None


def _is_authorization_request(url: str) -> bool:
    """RFC 6749 4.1.1: what makes a URL the start of somebody's sign-in."""
    names = {name for name, _ in parse_qsl(urlsplit(url).query)}
    return names >= {"response_type", "client_id"}


def _not_allowed(issuer: str) -> AuthError:
    return AuthError(
        f"The sign-in leads to {issuer}, which is not among the allowed issuers. Nothing was "
        "sent there; if you trust it with this agent's secret, add it to allowed_issuers.",
        code="issuer_not_allowed",
        status_code=403,
    )


def _failed(description: str) -> AuthError:
    return AuthError(description, code="sign_in_failed")
