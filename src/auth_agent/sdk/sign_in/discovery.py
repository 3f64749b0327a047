"""The pinned issuers: the only servers that a redirect may lead an agent to with its secret."""

from __future__ import annotations

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpResponse, json_object
from auth_agent.protocol.metadata import Metadata, is_metadata, metadata_requests, parse_metadata
from auth_agent.sdk.exchange.answers import is_busy
from auth_agent.sdk.exchange.journey import Journey, readable
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Flow, report
from auth_agent.sdk.text import one_line, quoted_url
from auth_agent.url import normal_origin

OPTION = "server_url (`--issuer` on the command line)"


class PinnedIssuers:
    """Recognises an address as the authorization endpoint of an allowed issuer."""

    def __init__(self, issuers: tuple[str, ...]) -> None:
        self.issuers = issuers
        self.origins = frozenset(normal_origin(issuer) for issuer in issuers)
        self._known: dict[str, Metadata] = {}

    def recognise(self, url: str, website: str, journey: Journey) -> Flow[str | None]:
        """Returns the issuer whose endpoint this is, or None.

        Reads metadata once the way leaves the website.
        """
        origin = normal_origin(url)
        nearest_first = sorted(self.issuers, key=lambda issuer: normal_origin(issuer) != origin)
        if origin == website and normal_origin(nearest_first[0]) != origin:
            return None
        for issuer in nearest_first:
            if issuer not in self._known:
                self._known[issuer] = yield from discover(issuer, journey)
            if url.partition("?")[0] in _endpoints(self._known[issuer]):
                return issuer
        return None

    def is_own_page(self, url: str, issuer: str) -> bool:
        """Checks that a URL is an address of this issuer, also if a website shares its origin."""
        own, path = issuer.rstrip("/"), url.partition("?")[0]
        if normal_origin(url) != normal_origin(issuer):
            return False
        if own != normal_origin(issuer):  # the issuer has a path of its own, and all below it
            return path == own or path.startswith(f"{own}/")
        endpoints = _endpoints(self._known[issuer]) if issuer in self._known else ()
        return path in endpoints or path.startswith((f"{own}/authorize", f"{own}/oauth2/authorize"))


def _endpoints(metadata: Metadata) -> tuple[str, ...]:
    """Adds the two authorization endpoints of the older generation (wire contract, 2)."""
    issuer = metadata.issuer.rstrip("/")
    older = (f"{issuer}/oauth2/authorize", f"{issuer}/authorize/challenge")
    return metadata.authorization_endpoint.partition("?")[0], *older


def discover(issuer: str, journey: Journey) -> Flow[Metadata]:
    """Returns the metadata of an issuer, which has to name itself as it was configured."""
    answers: list[HttpResponse] = []
    for request in metadata_requests(issuer):
        response = readable((yield from send_with_retries(journey, request)))
        answers.append(response)
        if is_metadata(response):
            break
    else:
        raise _no_metadata(issuer, answers)
    try:
        metadata = parse_metadata(response, issuer=issuer)
    except ServerMisbehaved as error:
        description = error.description
        if error.code == "issuer_mismatch":
            description = _mismatch(issuer, response)
        raise ServerMisbehaved(description, code=error.code) from None
    text = f"{issuer} is the pinned issuer, and its metadata says the same"
    yield from report("issuer_checked", text, request.url, response.status)
    return metadata


def _no_metadata(issuer: str, answers: list[HttpResponse]) -> ServerMisbehaved | ServerUnavailable:
    """Tells a server that fails from an address where there is none."""
    failing = [answer.status for answer in answers if is_busy(answer) or answer.status >= 500]
    if failing:
        return ServerUnavailable(
            f"The Auth Agent server at {issuer} has an error: it, or the proxy in front of it, "
            f"answers {failing[0]}. Try again in a few seconds; if the error stays, the server's "
            "log has the cause."
        )
    statuses = " and ".join(str(answer.status) for answer in answers)
    return ServerMisbehaved(
        f"There is no Auth Agent server at {issuer}: both well-known addresses answer without "
        f"metadata ({statuses}). Check {OPTION}.",
        code="metadata_missing",
    )


def _mismatch(issuer: str, response: HttpResponse) -> str:
    """Names both issuers, so that one of them can be copied."""
    named = json_object(response, "metadata").get("issuer")
    shown = quoted_url(named) if isinstance(named, str) else None
    called = f"calls itself {shown}" if shown else "names no issuer that is a URL"
    return (
        f"The server at {one_line(issuer)} {called}. {OPTION} must be the same, byte for byte, a "
        "slash at the end included."
    )
