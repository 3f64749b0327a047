"""The pinned issuers: the only servers that a redirect may lead an agent to with its secret."""

from __future__ import annotations

from auth_agent.errors import ServerMisbehaved
from auth_agent.protocol.metadata import Metadata, is_metadata, metadata_requests, parse_metadata
from auth_agent.sdk.exchange.journey import Journey, readable
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Flow, report
from auth_agent.url import normal_origin

_EXPLAINED = {
    "metadata_missing": (
        "There is no Auth Agent server at {issuer}: both well-known addresses answer without "
        "metadata. Check server_url."
    ),
    "issuer_mismatch": (
        "The server at {issuer} names another issuer; server_url must be the same, byte for "
        "byte, a slash at the end included."
    ),
}


class PinnedIssuers:
    """Recognises an address as the authorization endpoint of an allowed issuer."""

    def __init__(self, issuers: tuple[str, ...]) -> None:
        self._issuers = issuers
        self._known: dict[str, Metadata] = {}

    def __contains__(self, issuer: object) -> bool:
        return issuer in self._issuers

    def recognise(self, url: str, website: str, journey: Journey) -> Flow[str | None]:
        """The issuer whose endpoint this is; metadata is read once the way leaves the website."""
        origin = normal_origin(url)
        nearest_first = sorted(self._issuers, key=lambda issuer: normal_origin(issuer) != origin)
        if origin == website and normal_origin(nearest_first[0]) != origin:
            return None
        for issuer in nearest_first:
            if issuer not in self._known:
                self._known[issuer] = yield from _discover(issuer, journey)
            if url.partition("?")[0] in _endpoints(self._known[issuer]):
                return issuer
        return None


def _endpoints(metadata: Metadata) -> tuple[str, ...]:
    """The older generation has two more doors (wire contract, 2)."""
    issuer = metadata.issuer.rstrip("/")
    older = (f"{issuer}/oauth2/authorize", f"{issuer}/authorize/challenge")
    return metadata.authorization_endpoint.partition("?")[0], *older


def _discover(issuer: str, journey: Journey) -> Flow[Metadata]:
    for request in metadata_requests(issuer):
        response = readable((yield from send_with_retries(journey, request)))
        if is_metadata(response):
            break
    try:
        metadata = parse_metadata(response, issuer=issuer, now=0)
    except ServerMisbehaved as error:
        explained = _EXPLAINED.get(error.code, error.description).format(issuer=issuer)
        raise ServerMisbehaved(explained, code=error.code) from None
    text = f"{issuer} is the pinned issuer, and says so itself"
    yield from report("issuer_checked", text, request.url, response.status)
    return metadata
