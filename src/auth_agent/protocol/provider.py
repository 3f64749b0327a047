"""The metadata and keys of a website's Auth Agent server, fetched and cached."""

from __future__ import annotations

from collections.abc import Callable

from auth_agent.errors import ServerMisbehaved, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpResponse, cache_seconds, is_trouble
from auth_agent.protocol.jose.jwks import Key, KeySet, jwks_request, parse_jwks
from auth_agent.protocol.jose.jws import Header, check_advertised
from auth_agent.protocol.metadata import Metadata, is_metadata, metadata_requests, parse_metadata
from auth_agent.protocol.snapshot import Fetched, Question, Snapshot

UNKNOWN_SECONDS = 10


class Provider:
    """The cache of one relying party. `clock` gives seconds and is monotonic."""

    def __init__(self, issuer: str, clock: Callable[[], float], *, needs_keys: bool = True) -> None:
        self._issuer = issuer
        self._needs_keys = needs_keys
        self._metadata = Snapshot("metadata", self._fetch_metadata, clock)
        self._keys = Snapshot("jwks", self._fetch_keys, clock)
        self._unknown_key = Question(clock, UNKNOWN_SECONDS)
        self._unlisted_algorithm = Question(clock, UNKNOWN_SECONDS)
        self.has_vouched_for_refresh_tokens = False
        """True once introspection has called a refresh token active: then a `false` counts."""

    def still_has(self, key: Key) -> bool:
        """Returns True while a key that verified a token is published, as far as the cache knows.

        Returns False also when the cache is due for a fetch.
        """
        keys = self._keys.fresh
        return keys is not None and key in keys.keys

    def metadata(self) -> Flow[Metadata]:
        """Returns the metadata; `ServerUnavailable` or `ServerMisbehaved` if there is none."""
        return self._metadata.get()

    def check_advertised(self, header: Header) -> Flow[Metadata]:
        """Returns the metadata if it lists the token's algorithm; raises `TokenRefused` otherwise.

        The server may have changed its algorithm since the last fetch: a token that contradicts the
        cache causes a new one, at most every ten seconds.
        """
        metadata = yield from self.metadata()
        listed = metadata.id_token_algorithms
        if listed is not None and header.alg not in listed:
            metadata = yield from self._unlisted_algorithm.ask(self._metadata, metadata)
        check_advertised(header, metadata.id_token_algorithms)
        return metadata

    def key(self, header: Header) -> Flow[Key]:
        """Returns the key that a token names; raises `TokenRefused` if the server has none."""
        keys = yield from self._keys.get()
        found = keys.find(header.alg, header.kid)
        if found is None and (header.kid is None or not keys.knows(header.kid)):
            keys = yield from self._unknown_key.ask(self._keys, keys)
            found = keys.find(header.alg, header.kid)
        if found is None:
            raise TokenRefused(
                "The server publishes no key that fits this token (`kid`).", code="key_unknown"
            )
        return found

    def _fetch_keys(self) -> Flow[Fetched[KeySet]]:
        metadata = yield from self._metadata.get(queues=False)
        if metadata.jwks_uri is None:
            raise ServerMisbehaved("The server publishes no keys.", code="jwks_empty")
        response = yield from fetch_keys(metadata.jwks_uri)
        return Fetched(parse_jwks(response), cache_seconds(response.headers))

    def _fetch_metadata(self) -> Flow[Fetched[Metadata]]:
        response = yield from fetch_metadata(self._issuer)
        metadata = parse_metadata(response, issuer=self._issuer, needs_keys=self._needs_keys)
        return Fetched(metadata, cache_seconds(response.headers))


def fetch_metadata(issuer: str) -> Flow[HttpResponse]:
    """Returns the issuer's answer at its well-known addresses, for `parse_metadata` to check."""
    first, second = metadata_requests(issuer)
    answers = [(yield from send(first))]
    if not is_metadata(answers[0]):
        answers.append((yield from send(second)))
    response = answers[-1]
    troubled = [answer.status for answer in answers if is_trouble(answer)]
    if troubled and not is_metadata(response):
        raise ServerUnavailable(f"The server's metadata answered {troubled[0]}.")
    if response.status == 200 and not is_metadata(response):
        raise ServerMisbehaved("The server's metadata is not JSON.", code="metadata_missing")
    return response


def fetch_keys(jwks_uri: str) -> Flow[HttpResponse]:
    """Returns the server's key set, for `parse_jwks` to check."""
    response = yield from send(jwks_request(jwks_uri))
    if is_trouble(response):
        raise ServerUnavailable(f"The server's key set answered {response.status}.")
    return response
