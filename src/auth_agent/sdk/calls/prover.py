"""The agent's key for proofs (RFC 9449): made in this process, never shown or written.

A token that is bound to it is worth nothing without it. Each request gets a proof of its own, with
the nonce that its server gave last, if it gave one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.flow.kept import Guard
from auth_agent.protocol.dpop.making import ALGORITHM, ProofKey, make_proof, new_proof_key
from auth_agent.sdk.exchange.answers import error_code
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.flow.effects import Flow, draw, now, today
from auth_agent.sdk.sign_in.discovery import discover
from auth_agent.url import normal_origin

MAX_KEYS = 1_000
MAX_ORIGINS = 1_000
MAX_HELD = 4_096
OFFER_SECONDS = 3_600
JTI_BYTES = 16
_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")  # RFC 9449 8.1

Build = Callable[[], Flow[HttpRequest]]
Send = Callable[[Build], Flow[HttpResponse]]
SendOnce = Callable[[HttpRequest], Flow[HttpResponse]]


class Prover:
    """The key of one agent at one server, and the nonces that servers gave for it."""

    def __init__(self) -> None:
        self._key: ProofKey | None = None
        self._nonces: OrderedDict[str, str] = OrderedDict()
        self._offer: tuple[bool, float] | None = None
        self._held: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Guard()
        self.is_demanded = False
        """Whether the server has refused this agent a token without a proof."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def jkt(self) -> str:
        """Returns the thumbprint of the key (RFC 7638)."""
        return self._made_key().jkt

    def hold(self, *tokens: str | None) -> None:
        """Remembers tokens that are bound to this key, as digests."""
        with self._lock:
            for token in filter(None, tokens):
                self._held[_digest(token)] = None
            while len(self._held) > MAX_HELD:
                self._held.popitem(last=False)

    def holds(self, token: str | None) -> bool:
        """Returns True if the token is known to be bound to this key."""
        with self._lock:
            return token is not None and _digest(token) in self._held

    def proof(
        self, method: str, url: str, *, at: float, jti: str, access_token: str | None = None
    ) -> str:
        """Returns the proof for one request."""
        nonce = self.nonce_for(url)
        return make_proof(
            self._made_key(),
            method=method,
            url=url,
            now=at,
            jti=jti,
            access_token=access_token,
            nonce=nonce,
        )

    def proof_now(self, method: str, url: str, access_token: str) -> str:
        """Returns the proof for a request that is about to be sent."""
        jti = secrets.token_urlsafe(JTI_BYTES)
        return self.proof(method, url, at=time.time(), jti=jti, access_token=access_token)

    def nonce_for(self, url: str) -> str | None:
        """Returns the nonce that the origin of this URL gave last."""
        with self._lock:
            return self._nonces.get(normal_origin(url))

    def note(self, url: str, headers: Mapping[str, str]) -> None:
        """Remembers the nonce of an answer, whatever its status (RFC 9449 8.2)."""
        nonce = headers.get("dpop-nonce")
        if nonce is None or not _NONCE.fullmatch(nonce):
            return
        with self._lock:
            origin = normal_origin(url)
            self._nonces[origin] = nonce
            self._nonces.move_to_end(origin)
            while len(self._nonces) > MAX_ORIGINS:
                self._nonces.popitem(last=False)

    def is_offered(self, issuer: str, journey: Journey) -> Flow[bool]:
        """Returns True if the server's metadata offer proofs of this kind; asks once an hour.

        A server without metadata offers none. Raises `ServerUnavailable` if it cannot be asked:
        that must not look like a server that offers none.
        """
        at = yield from now()
        if self._offer is not None and at < self._offer[1]:
            return self._offer[0]
        try:
            metadata = yield from discover(issuer, journey)
            offered = ALGORITHM in (metadata.dpop_algorithms or ())
        except ServerMisbehaved as error:
            if error.code != "metadata_missing":
                raise
            offered = False
        self._offer = offered, at + OFFER_SECONDS
        return offered

    def exchange(self, build: Build, once: SendOnce) -> Flow[HttpResponse]:
        """Sends a token request with a proof; once more if the server wants another nonce.

        The request is built again, because the agent's signature in it is single-use.
        """
        response = yield from self._send(build, once)
        if error_code(response) == "use_dpop_nonce" and "dpop-nonce" in response.headers:
            response = yield from self._send(build, once)
        return response

    def present(self, request: HttpRequest, token: str, send: Send) -> Flow[HttpResponse]:
        """Sends a request with a bound token; once more if the server wants another nonce."""
        url = request.url

        def build() -> Flow[HttpRequest]:
            at, jti = (yield from today()), (yield from draw(JTI_BYTES))
            proof = self.proof(request.method, url, at=at, jti=jti, access_token=token)
            others = [one for one in request.headers if one[0].lower() != "authorization"]
            headers = (*others, ("Authorization", f"DPoP {token}"), ("DPoP", proof))
            return msgspec.structs.replace(request, headers=headers)

        before = self.nonce_for(url)
        response = yield from send(build)
        self.note(url, response.headers)
        if wants_nonce(response.status, response.headers) and self.nonce_for(url) != before:
            response = yield from send(build)
            self.note(url, response.headers)
        return response

    def _send(self, build: Build, once: SendOnce) -> Flow[HttpResponse]:
        request = yield from build()
        proof = self.proof(
            request.method, request.url, at=(yield from today()), jti=(yield from draw())
        )
        headers = (*request.headers, ("DPoP", proof))
        response = yield from once(msgspec.structs.replace(request, headers=headers))
        self.note(request.url, response.headers)
        return response

    def _made_key(self) -> ProofKey:
        with self._lock:
            if self._key is None:
                self._key = new_proof_key()
            return self._key


def wants_nonce(status: int, headers: Mapping[str, str]) -> bool:
    """Returns True if RFC 9449 9 demands a nonce, or another one."""
    return status == 401 and "use_dpop_nonce" in headers.get("www-authenticate", "")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


_provers: OrderedDict[tuple[str, str], Prover] = OrderedDict()
_guard = Guard()


def prover_of(issuer: str, agent_id: str) -> Prover:
    """Returns the prover of an agent at its server, the same for all SDKs of this process.

    Tokens may be shared between SDKs, and a refresh needs the key that the token is bound to.
    """
    with _guard:
        found = _provers.setdefault((issuer, agent_id), Prover())
        _provers.move_to_end((issuer, agent_id))
        while len(_provers) > MAX_KEYS:
            _provers.popitem(last=False)
        return found
