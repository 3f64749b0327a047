"""A sequence of hops through websites: each one is checked before it is taken; bounded."""

from __future__ import annotations

import zlib
from urllib.parse import quote, urldefrag, urljoin

import msgspec

from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.flow.effects import Flow, fetch, now, wait
from auth_agent.sdk.text import one_line
from auth_agent.url import is_loopback, url_problem

MAX_HOPS = 20
MAX_BODY = 1_048_576
TOO_LATE = "timeout"
PAGE = ("Accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
SIGN_IN = "The sign-in took too long; try again, or allow more time with `within`."
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~-._"
_REDIRECTS = (301, 302, 303, 307, 308)


class Journey:
    """Counts hops and checks the time; `ends_at` is on the clock of `Now`."""

    def __init__(self, *, ends_at: float, timeout: float, too_late: str = SIGN_IN) -> None:
        self._ends_at = ends_at
        self._timeout = timeout
        self._too_late = too_late
        self._hops_left = MAX_HOPS
        self.signs = True  # with the agent's signing key, if it has one

    def seconds_left(self) -> Flow[float]:
        return self._ends_at - (yield from now())

    def pause(self, seconds: float) -> None:
        """Adds the time that a person took, which does not count."""
        self._ends_at += seconds

    def visit(self, url: str) -> Flow[HttpResponse]:
        """Gets a page as a browser would; counts as a hop."""
        return (yield from self.open(HttpRequest("GET", url, (PAGE,))))

    def open(self, request: HttpRequest) -> Flow[HttpResponse]:
        """Sends a page's request; raises `too_many_redirects` after 20 hops."""
        if self._hops_left == 0:
            raise AuthError(
                f"The sign-in took more than {MAX_HOPS} redirects: the website or the server "
                "redirects in a circle.",
                code="too_many_redirects",
                status_code=502,
            )
        self._hops_left -= 1
        return (yield from self.send(request))

    def send(self, request: HttpRequest) -> Flow[HttpResponse]:
        left = yield from self.seconds_left()
        if left <= 0:
            raise self.too_late()
        try:
            seconds = min(left, self._timeout)
            return (yield from fetch(request, seconds, signed=self.signs))
        except ServerUnavailable as error:
            has_a_cause = error.code != ServerUnavailable.default_code
            # Two clocks never agree to the last bit.
            if not has_a_cause and (yield from self.seconds_left()) <= 0.05:
                raise self.too_late() from None
            raise

    def rest(self, seconds: float) -> Flow[None]:
        """Waits; raises `timeout` if the journey ends before that."""
        if (yield from self.seconds_left()) <= seconds:
            raise self.too_late()
        yield from wait(seconds)

    def too_late(self) -> AuthError:
        return AuthError(self._too_late, code=TOO_LATE, status_code=504)


def redirect_target(url: str, response: HttpResponse) -> str | None:
    """Returns the URL that an answer redirects to, or None."""
    location = response.headers.get("location")
    if response.status not in _REDIRECTS or location is None:
        return None
    return resolve(url, location)


def resolve(url: str, reference: str) -> str:
    """Returns a reference on the page at `url` without its fragment; judge it with `check_hop`."""
    try:
        return urldefrag(urljoin(url, quote(reference.strip(), safe=_URL_CHARACTERS))).url
    except ValueError:
        raise _insecure("The website redirects to something that is not a URL.") from None


def check_hop(url: str, *, came_from: str | None = None) -> None:
    """Raises `insecure_url` for a URL that a careful browser would not open."""
    problem = url_problem(url, query=True)
    if problem is not None and came_from is None:
        raise _insecure(f"The URL {_explained(url, problem)}.")
    if problem is not None:
        raise _insecure(f"A redirect's URL {problem}.")
    if came_from is not None and came_from.startswith("https:") and not url.startswith("https:"):
        raise _insecure(
            "A redirect leads from https to http. It was not followed: http does not prove which "
            "host answers."
        )


def readable(response: HttpResponse) -> HttpResponse:
    """Returns the answer with its body decoded, if a proxy compressed it without being asked.

    At most 1 MiB is unpacked, since a small answer may grow without bound.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return response
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _compressed(f"An answer came in the encoding {one_line(encoding, 40)}")
    body = _unpacked(response.body, zlib.MAX_WBITS | 32)  # gzip or zlib, as the data begins
    if body is None and encoding == "deflate":
        body = _unpacked(response.body, -zlib.MAX_WBITS)  # what some servers call deflate
    if body is None:
        raise _compressed("An answer came compressed, and cannot be unpacked")
    headers = {k: v for k, v in response.headers.items() if k != "content-encoding"}
    return msgspec.structs.replace(response, headers=headers, body=body)


def _unpacked(data: bytes, bits: int) -> bytes | None:
    """Returns the data, or None if it is damaged or cut off."""
    unpacking = zlib.decompressobj(bits)
    try:
        body = unpacking.decompress(data, MAX_BODY)
    except zlib.error:
        return None
    if unpacking.unconsumed_tail:
        raise ServerMisbehaved("An answer is larger than 1 MiB.", code="answer_too_large")
    return body if unpacking.eof else None


def _explained(url: str, problem: str) -> str:
    """Adds the remedy for a URL that was typed without its scheme."""
    shown = one_line(url, 100)
    scheme = url.partition(":")[0].lower()
    if "://" in url or not shown or scheme in ("javascript", "data", "file"):
        return problem
    wanted = "http" if is_loopback(url.partition("/")[0].partition(":")[0]) else "https"
    return f"{shown!r} has no scheme; write {wanted}://{shown}"


def _compressed(what: str) -> ServerMisbehaved:
    return ServerMisbehaved(f"{what}, although none was asked for.", code="answer_compressed")


def _insecure(description: str) -> AuthError:
    return AuthError(description, code="insecure_url")
