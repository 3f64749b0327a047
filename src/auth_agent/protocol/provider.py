"""What a website knows of its Auth Agent server: metadata and keys, kept and fetched.

Both are immutable snapshots; replacing one is a single assignment, so readers take no lock.
A failed fetch keeps what is there. Only a cold start waits.
"""

from __future__ import annotations

from collections.abc import Callable

from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow, join, send, spawn
from auth_agent.flow.exchange import HttpResponse, is_trouble
from auth_agent.protocol.jose.bounds import STALE_SECONDS
from auth_agent.protocol.jose.jwks import Key, KeySet, jwks_request, parse_jwks
from auth_agent.protocol.jose.jws import Header
from auth_agent.protocol.metadata import Metadata, is_metadata, metadata_requests, parse_metadata

UNKNOWN_KEY_SECONDS = 10
RETRY_SECONDS = 30
EARLY_SECONDS = 60  # this long before its end a snapshot is fetched anew in the background


class Provider:
    """One per relying party. `clock` gives seconds since 1970."""

    def __init__(self, issuer: str, clock: Callable[[], float], *, needs_keys: bool = True) -> None:
        self._issuer = issuer
        self._needs_keys = needs_keys
        self._clock = clock
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._retry_metadata_at = 0.0
        self._retry_keys_at = 0.0
        self._unknown_key_at = float("-inf")
        self._asking_for_unknown_key = False

    def still_has(self, key: Key) -> bool:
        """Whether a key that verified a token is still published, as far as is known now.

        False also where it is time to look again.
        """
        keys = self._keys
        return keys is not None and self._clock() < keys.expires_at and key in keys.keys

    def metadata(self) -> Flow[Metadata]:
        """Raises `ServerUnavailable` or `ServerMisbehaved` where there is nothing to go on with."""
        known, now = self._metadata, self._clock()
        if known is not None and (now < known.expires_at or now < self._retry_metadata_at):
            if now >= known.expires_at - EARLY_SECONDS and now >= self._retry_metadata_at:
                self._retry_metadata_at = now + RETRY_SECONDS
                yield from spawn(("metadata", self), self._fetch_metadata)
            return known
        try:
            return (yield from join(("metadata", self), self._fetch_metadata))
        except AuthError:
            if known is None or now >= known.expires_at + STALE_SECONDS:
                raise
            self._retry_metadata_at = now + RETRY_SECONDS
            return known

    def key(self, header: Header) -> Flow[Key]:
        """The key that a token names; raises `TokenRefused` where the server has none that fits."""
        keys = yield from self._key_set()
        found = keys.find(header.alg, header.kid)
        if found is None and self._may_ask_for(header, keys):
            keys = yield from self._ask_again(keys)
            found = keys.find(header.alg, header.kid)
        if found is None:
            raise TokenRefused("No key of the server fits this token.", code="key_unknown")
        return found

    def _may_ask_for(self, header: Header, keys: KeySet) -> bool:
        """Whatever an attacker sends, one fetch in ten seconds, and everybody may wait for it."""
        unknown = header.kid is None or not keys.knows(header.kid)
        open_again = self._clock() >= self._unknown_key_at + UNKNOWN_KEY_SECONDS
        return unknown and (open_again or self._asking_for_unknown_key)

    def _ask_again(self, keys: KeySet) -> Flow[KeySet]:
        if not self._asking_for_unknown_key:
            self._unknown_key_at = self._clock()
            self._asking_for_unknown_key = True
        try:
            return (yield from join(("jwks", self), self._fetch_keys))
        except AuthError:  # the old keys stay; this token has none among them
            return self._keys or keys
        finally:
            self._asking_for_unknown_key = False

    def _key_set(self) -> Flow[KeySet]:
        known, now = self._keys, self._clock()
        if known is not None and (now < known.expires_at or now < self._retry_keys_at):
            if now >= known.expires_at - EARLY_SECONDS and now >= self._retry_keys_at:
                self._retry_keys_at = now + RETRY_SECONDS
                yield from spawn(("jwks", self), self._fetch_keys)
            return known
        try:
            return (yield from join(("jwks", self), self._fetch_keys))
        except AuthError:
            if known is None or now >= known.stale_at:
                raise
            self._retry_keys_at = now + RETRY_SECONDS
            return known

    def _fetch_keys(self) -> Flow[KeySet]:
        metadata = yield from self.metadata()
        if metadata.jwks_uri is None:
            raise ServerMisbehaved("The server publishes no keys.", code="jwks_empty")
        response = yield from fetch_keys(metadata.jwks_uri)
        self._keys = parse_jwks(response, now=self._clock())
        return self._keys

    def _fetch_metadata(self) -> Flow[Metadata]:
        response = yield from fetch_metadata(self._issuer)
        self._metadata = parse_metadata(
            response, issuer=self._issuer, now=self._clock(), needs_keys=self._needs_keys
        )
        return self._metadata


def fetch_metadata(issuer: str) -> Flow[HttpResponse]:
    """What the issuer answers at its well-known addresses, for `parse_metadata` to judge."""
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
    """What the server publishes as its keys, for `parse_jwks` to judge."""
    response = yield from send(jwks_request(jwks_uri))
    if is_trouble(response):
        raise ServerUnavailable(f"The server's key set answered {response.status}.")
    return response
