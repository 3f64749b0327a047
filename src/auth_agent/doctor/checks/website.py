"""The website as a visitor reaches it: through DNS, TLS and every proxy.

Opens the page that starts a sign-in and looks at where it leads, then begins and ends a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urljoin, urlsplit

import msgspec

from auth_agent.doctor.checks.cookies import examine_cookies
from auth_agent.doctor.checks.large_cookies import examine_large_cookies
from auth_agent.doctor.checks.workers import examine_workers
from auth_agent.doctor.finding import (
    Finding,
    failure,
    in_words,
    is_certificate_problem,
    note,
    ok,
    plain,
    speaks_no_tls,
    warning,
)
from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.metadata import Metadata
from auth_agent.url import normal_origin
from auth_agent.website.config.settings import Settings

GATEWAY = (502, 503, 504)


def examine_website(
    settings: Settings, visited: str, metadata: Metadata | None
) -> Flow[list[Finding]]:
    """Examines the website; `visited` is the origin that visitors use."""
    url = f"{visited}{settings.prefix}/login"
    found = list(_judge_address(settings, visited))
    try:
        response = yield from send(_visit(url))
    except ServerUnavailable as error:
        return [*found, _unreachable(visited, error)]
    except AuthError as error:
        return [*found, _unreadable(url, error)]
    judged = list(judge_login(response, settings, url, metadata))
    found += judged
    if judged and all(finding.level == "ok" for finding in judged):
        found += yield from examine_workers(settings, visited)
        found += yield from examine_large_cookies(settings, visited)
    if url.startswith("https:") and urlsplit(url).port in (None, 443):
        found += yield from _examine_http(url)
    return found


def _visit(url: str) -> HttpRequest:
    return HttpRequest("GET", url, (("Accept", "application/json"),))


def _judge_address(settings: Settings, visited: str) -> Iterator[Finding]:
    """Checks that agents return to the origin that set their cookies."""
    if visited == settings.base_url:
        return
    if visited.startswith("https:") and settings.base_url.startswith("http:"):
        why = "agents would return over http, without the cookies of their sign-in"
    else:
        why = "agents would return to another address than they came from, and a browser does "
        why += "not send the cookies of one to the other"
    yield failure(
        "website.base_url",
        f"Visitors use {visited}, and AUTH_AGENT_BASE_URL is {settings.base_url}: {why}.",
        f"Set AUTH_AGENT_BASE_URL={visited} and register the redirect URI "
        f"{visited}{settings.prefix}/callback",
    )


def _unreachable(visited: str, error: ServerUnavailable) -> Finding:
    if is_certificate_problem(error):
        return warning(
            "website.certificate",
            f"{visited} is not trusted by this machine: {in_words(error)}.",
            "Renew the certificate, with the whole chain; agents refuse it as this machine does.",
        )
    if speaks_no_tls(error):
        return failure(
            "website.no_tls",
            f"What answers at {visited} speaks http, not https.",
            "Put a proxy with TLS before the website, or correct AUTH_AGENT_BASE_URL.",
        )
    return note(
        "website.not_running",
        f"{visited} does not answer ({in_words(error)}); the proxy and the cookies were not "
        "checked.",
        "Start the website, or correct AUTH_AGENT_BASE_URL, then run this command again.",
    )


def _unreadable(url: str, error: AuthError) -> Finding:
    large = error.code == "answer_too_large"
    why = "it is larger than 256 KiB" if large else "it is compressed, which was not requested"
    return failure(
        "website.unreadable",
        f"What answers at {url} is not this website's sign-in: {why}.",
        "Is the middleware installed in the application that runs there, and does the proxy "
        "forward the answers below AUTH_AGENT_PREFIX unchanged?",
    )


def judge_login(
    response: HttpResponse, settings: Settings, url: str, metadata: Metadata | None
) -> Iterator[Finding]:
    """Reads the answer of the sign-in route for problems of the website or its proxy."""
    if 300 <= response.status < 400:
        target = _target(url, response)
        asked = dict(parse_qsl(urlsplit(target).query))
        if {"client_id", "redirect_uri", "state"} <= asked.keys():
            yield from _judge_sign_in(asked, target, settings, metadata)
            yield from examine_cookies(response, settings)
        elif _origin(target) == settings.base_url != _origin(url):
            yield ok(
                "website.answers", ("The website answers and redirects visitors to its base URL.")
            )
        else:
            yield _redirected(url, target)
    elif (cause := _own_refusal(response)) is not None:
        yield failure(
            "website.sign_in_fails",
            f"The website answers, but cannot start a sign-in: {cause}.",
            "If the checks of the server above are fine, the website runs with other settings "
            "or in another network than this command: compare both, then restart the website.",
        )
    elif response.status in GATEWAY:
        yield warning(
            "website.gateway",
            f"{url} answers {response.status}: the proxy answers, but the website behind it "
            "does not.",
            "Start the website, or correct its address in the proxy's configuration.",
        )
    else:
        yield failure(
            "website.no_middleware",
            f"Something answers {response.status} at {url}, but not this website's sign-in.",
            "Is the middleware installed in the application that runs there, with the same "
            "AUTH_AGENT_PREFIX, and does the proxy forward everything below it?",
        )


def _judge_sign_in(
    asked: dict[str, str], target: str, settings: Settings, metadata: Metadata | None
) -> Iterator[Finding]:
    differing = []
    if asked["redirect_uri"] != settings.redirect_uri:
        differing.append(f"the redirect URI is {plain(asked['redirect_uri'])}")
    if asked["client_id"] != settings.client_id:
        differing.append(f"the client is {plain(asked['client_id'])}")
    if metadata is not None and not _is_at(target, metadata.authorization_endpoint):
        differing.append(f"the server is {plain(_origin(target))}")
    if differing:
        yield failure(
            "website.other_settings",
            f"The website runs with other settings than these: {'; '.join(differing)}.",
            "Restart the website with these settings, or run this command with the website's "
            "own settings.",
        )
    else:
        yield ok("website.answers", "The website answers and sends agents to this server.")


def _is_at(url: str, endpoint: str) -> bool:
    return url.partition("?")[0] == endpoint.partition("?")[0]


def _redirected(url: str, target: str) -> Finding:
    here, there = urlsplit(url), urlsplit(target)
    if target == url:
        return failure(
            "website.redirect_loop",
            f"{url} redirects to itself: behind its proxy the application sees http.",
            "Let the proxy send X-Forwarded-Proto, and the application trust it (Django: "
            "SECURE_PROXY_SSL_HEADER; uvicorn: --proxy-headers --forwarded-allow-ips).",
        )
    if here.path == there.path and _origin(url) != _origin(target):
        origin = plain(_origin(target))
        return failure(
            "website.moved",
            f"{_origin(url)} redirects visitors to {origin}: a browser does not send the cookies "
            "of one to the other.",
            f"Set AUTH_AGENT_BASE_URL={origin}, and register that redirect URI.",
        )
    where = f"{_origin(target)}{there.path}" if target else "no address at all"
    return failure(
        "website.no_middleware",
        f"{url} does not lead to a sign-in, but to {plain(where)}.",
        "Something in front of the website's middleware answers: let it forward everything "
        "below AUTH_AGENT_PREFIX.",
    )


def _own_refusal(response: HttpResponse) -> str | None:
    """Returns the cause if our middleware has answered (`challenge.refuse`)."""
    try:
        document = msgspec.json.decode(response.body, type=dict[str, object])
    except ValueError:
        return None
    return plain(document.get("error")) if {"login_url", "issuer"} <= document.keys() else None


def _examine_http(url: str) -> Flow[list[Finding]]:
    """Checks the http address, which a browser tries first for a bare name."""
    http = f"http:{url.partition(':')[2]}"
    try:
        response = yield from send(_visit(http))
    except AuthError:
        return []  # no server answers there, which is fine
    target = _target(http, response)
    if 300 <= response.status < 400 and _origin(target) == _origin(url):
        return [ok("website.https", "The website redirects http to https.")]
    return [
        warning(
            "website.http_open",
            "The website also answers on http and does not redirect to https: a sign-in that "
            "begins on http loses its cookies.",
            "Let the proxy redirect all http requests to https, and send "
            "Strict-Transport-Security.",
        )
    ]


def _target(url: str, response: HttpResponse) -> str:
    """Returns the target of a redirect, "" if it is no URL."""
    try:
        return urlsplit(urljoin(url, response.headers.get("location", ""))).geturl()
    except ValueError:
        return ""


def _origin(url: str) -> str:
    """Returns the origin, or "" for a malformed URL."""
    try:
        return normal_origin(url)
    except ValueError:
        return ""
