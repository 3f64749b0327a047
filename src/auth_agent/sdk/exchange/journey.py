"""A way through the web: every hop is looked at before it is taken, and all of it has an end."""

from __future__ import annotations

from urllib.parse import quote, urldefrag, urljoin

from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.flow.effects import Flow, fetch, now, wait
from auth_agent.url import url_problem

MAX_HOPS = 20
TOO_LATE = "timeout"
_PAGE = ("Accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
SIGN_IN = "The sign-in took too long; try again, or allow more time with `within`."
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~-._"
_REDIRECTS = (301, 302, 303, 307, 308)


class Journey:
    """Counts hops and watches the clock; `ends_at` is on the clock of `Now`."""

    def __init__(self, *, ends_at: float, timeout: float, too_late: str = SIGN_IN) -> None:
        self._ends_at = ends_at
        self._timeout = timeout
        self._too_late = too_late
        self._hops_left = MAX_HOPS

    def seconds_left(self) -> Flow[float]:
        return self._ends_at - (yield from now())

    def pause(self, seconds: float) -> None:
        """Time that a person took is not the journey's."""
        self._ends_at += seconds

    def visit(self, url: str) -> Flow[HttpResponse]:
        """GET a page as a browser would."""
        if self._hops_left == 0:
            raise AuthError(
                f"The sign-in took more than {MAX_HOPS} redirects; the website or the server "
                "sends its visitors in circles.",
                code="too_many_redirects",
                status_code=502,
            )
        self._hops_left -= 1
        return (yield from self.send(HttpRequest("GET", url, (_PAGE,))))

    def send(self, request: HttpRequest) -> Flow[HttpResponse]:
        left = yield from self.seconds_left()
        if left <= 0:
            raise self.too_late()
        try:
            return (yield from fetch(request, min(left, self._timeout)))
        except ServerUnavailable as error:
            has_a_cause = error.code != ServerUnavailable.default_code
            # Two clocks never agree to the last bit.
            if not has_a_cause and (yield from self.seconds_left()) <= 0.05:
                raise self.too_late() from None
            raise

    def rest(self, seconds: float) -> Flow[None]:
        """Waits, unless the end of the journey is nearer than that."""
        if (yield from self.seconds_left()) <= seconds:
            raise self.too_late()
        yield from wait(seconds)

    def too_late(self) -> AuthError:
        return AuthError(self._too_late, code=TOO_LATE, status_code=504)


def redirect_target(url: str, response: HttpResponse) -> str | None:
    """Where an answer sends its reader on to, or None."""
    location = response.headers.get("location")
    if response.status not in _REDIRECTS or location is None:
        return None
    return resolve(url, location)


def resolve(url: str, reference: str) -> str:
    """A link on the page at `url`, without its fragment; judge it with `check_hop`."""
    try:
        return urldefrag(urljoin(url, quote(reference.strip(), safe=_URL_CHARACTERS))).url
    except ValueError:
        raise _insecure("The website redirects to something that is not a URL.") from None


def check_hop(url: str, *, came_from: str | None = None) -> None:
    """Raises `insecure_url` for what a careful browser would not open."""
    problem = url_problem(url, query=True)
    where = "The URL" if came_from is None else "A redirect's URL"
    if problem is not None:
        raise _insecure(f"{where} {problem}.")
    if came_from is not None and came_from.startswith("https:") and not url.startswith("https:"):
        raise _insecure("A redirect leads from https to http; nobody could tell who answers there.")


def readable(response: HttpResponse) -> HttpResponse:
    """Refuses a compressed answer, since a small one may grow without bound."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServerMisbehaved(
            "A compressed answer came although none was asked for.", code="answer_compressed"
        )
    return response


def _insecure(description: str) -> AuthError:
    return AuthError(description, code="insecure_url")
