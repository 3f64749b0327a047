"""`Authorization: DPoP`: a token that is bound to a key, beside a proof of that key (RFC 9449 7).

The token is remembered as every token is; the proof is checked for each request. A proof counts
once: it is remembered when everything else about the request is good, so that no refused proof
uses anything up, in this process or, where sessions are kept in Redis, on all machines.
"""

from __future__ import annotations

from auth_agent.errors import AuthError, ProofRefused, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow
from auth_agent.flow.kept import Guard
from auth_agent.protocol.dpop.proof import Proof, check_proof, is_same_key
from auth_agent.protocol.jose.base64url import encode
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.authorization import read_token
from auth_agent.website.recognition.bearer import Bearers
from auth_agent.website.recognition.known import Known, unbound
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import Recognised
from auth_agent.website.web.visit import Visit

MAX_PROOFS = 524_288
BUCKET_SECONDS = 60


class BoundTokens:
    """Recognises the agents that prove the key of their token."""

    def __init__(self, site: Site, bearers: Bearers, store: Store | None = None) -> None:
        self._site = site
        self._bearers = bearers
        self._base_url = site.settings.base_url
        self._store = store
        self._used = UsedProofs()

    def recognise(self, visit: Visit, authorization: str) -> Recognised | Flow[Recognised]:
        """Returns at once if the token is known and proofs are remembered in this process."""
        try:
            token = read_token(authorization)
            proof = check_proof(
                visit.header("dpop"),
                method=visit.method,
                url=self._base_url + visit.raw_path,
                now=self._site.clock(),
                access_token=token,
            )
            known = self._bearers.find(token)
            if known is None or self._store is not None:
                return self._ask(token, proof)
            return self._judge(known, proof)
        except AuthError as problem:
            return Recognised(None, problem=problem)

    def _ask(self, token: str, proof: Proof) -> Flow[Recognised]:
        try:
            known = yield from self._bearers.resolve(token)
            if self._store is None:
                return self._judge(known, proof)
            _check_key(known, proof)
            seconds = max(1, int(proof.expires_at() - self._site.clock()) + 1)
            if not (yield from self._store.spend(f"proof {encode(proof.mark())}", seconds)):
                raise _replayed()
        except AuthError as problem:
            return Recognised(None, problem=problem)
        return known.bound

    def _judge(self, known: Known, proof: Proof) -> Recognised:
        _check_key(known, proof)
        self._used.add(proof, self._site.clock())
        return known.bound


class UsedProofs:
    """The proofs that counted, each until it has expired; when full, new ones are refused."""

    def __init__(self, limit: int = MAX_PROOFS) -> None:
        self._limit = limit
        self._count = 0
        # By the minute in which they expire, so that forgetting them costs next to nothing.
        self._buckets: dict[int, set[bytes]] = {}
        self._lock = Guard()

    def add(self, proof: Proof, now: float) -> None:
        """Remembers a proof; raises `ProofRefused` if it counted before."""
        mark = proof.mark()
        bucket = int(proof.expires_at() // BUCKET_SECONDS)
        with self._lock:
            self._forget(now)
            if any(mark in marks for marks in self._buckets.values()):
                raise _replayed()
            if self._count >= self._limit:
                raise ServerUnavailable(
                    "Too many proofs came within five minutes; try again.", code="proofs_full"
                )
            self._buckets.setdefault(bucket, set()).add(mark)
            self._count += 1

    def _forget(self, now: float) -> None:
        current = int(now // BUCKET_SECONDS)
        for bucket in [one for one in self._buckets if one < current]:
            self._count -= len(self._buckets.pop(bucket))


def _check_key(known: Known, proof: Proof) -> None:
    """Raises `TokenRefused` unless the token is bound to the key that was proved."""
    if known.jkt is None:
        raise unbound()
    if not is_same_key(known.jkt, proof.jkt):
        raise TokenRefused("The token is bound to another key.", code="token_key_mismatch")


def _replayed() -> ProofRefused:
    return ProofRefused("The proof was used before; make one for each request.", code="proof_used")
