"""`Authorization: DPoP`: a token that is bound to a key, beside a proof of that key (RFC 9449 7).

The token is remembered as every token is; the proof is checked for each request. A proof counts
once: it is remembered when everything else about the request is good, so that no refused proof
uses anything up, in this process or, where sessions are kept in Redis, on all machines.
"""

from __future__ import annotations

from collections import Counter

from auth_agent.errors import AuthError, ProofRefused, ServerUnavailable, TokenRefused
from auth_agent.flow.effects import Flow
from auth_agent.flow.kept import Guard
from auth_agent.protocol.dpop.proof import (
    SECONDS_AHEAD,
    SECONDS_BACK,
    Proof,
    check_proof,
    is_same_key,
)
from auth_agent.protocol.jose.base64url import encode
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.authorization import read_token
from auth_agent.website.recognition.bearer import Bearers
from auth_agent.website.recognition.known import Known, unbound
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import Recognised
from auth_agent.website.web.visit import Visit

MAX_PROOFS = 524_288
MAX_OF_ONE = 131_072  # of one agent, so that none fills the memory for all others
BUCKET_SECONDS = 60
# For as long as a proof of the future, within the skew, can be sent again.
KEPT_SECONDS = SECONDS_BACK + SECONDS_AHEAD


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
            if not (yield from self._store.spend(f"proof {encode(proof.mark())}", KEPT_SECONDS)):
                raise _replayed()
        except AuthError as problem:
            return Recognised(None, problem=problem)
        return known.bound

    def _judge(self, known: Known, proof: Proof) -> Recognised:
        _check_key(known, proof)
        agent = known.bound.agent
        owner = f"{agent.issuer} {agent.id}" if agent is not None else ""
        self._used.add(proof, self._site.ticks(), owner)
        return known.bound


class UsedProofs:
    """The proofs that counted, each until it has expired; when full, new ones are refused."""

    def __init__(self, limit: int = MAX_PROOFS, limit_of_one: int = MAX_OF_ONE) -> None:
        self._limit = limit
        self._limit_of_one = limit_of_one
        self._counts: Counter[str] = Counter()
        # By the minute in which they expire: each mark, and whose proof it was.
        self._buckets: dict[int, dict[bytes, str]] = {}
        self._lock = Guard()

    def add(self, proof: Proof, now: float, owner: str) -> None:
        """Remembers an agent's proof; raises `ProofRefused` if it counted before.

        `now` is in ticks: a date that was wrong for a moment forgets no proof.
        """
        mark = proof.mark()
        bucket = int((now + KEPT_SECONDS) // BUCKET_SECONDS)
        with self._lock:
            self._forget(now)
            if any(mark in marks for marks in self._buckets.values()):
                raise _replayed()
            if self._is_full(owner):
                raise ServerUnavailable(
                    "Too many proofs came within five minutes; try again in a minute.",
                    code="proofs_full",
                )
            self._buckets.setdefault(bucket, {})[mark] = owner
            self._counts[owner] += 1

    def _is_full(self, owner: str) -> bool:
        remembered = sum(map(len, self._buckets.values()))
        return remembered >= self._limit or self._counts[owner] >= self._limit_of_one

    def _forget(self, now: float) -> None:
        current = int(now // BUCKET_SECONDS)
        for bucket in [one for one in self._buckets if one < current]:
            self._counts -= Counter(self._buckets.pop(bucket).values())  # zeros go, too


def _check_key(known: Known, proof: Proof) -> None:
    """Raises `TokenRefused` unless the token is bound to the key that was proved."""
    if known.jkt is None:
        raise unbound()
    if not is_same_key(known.jkt, proof.jkt):
        raise TokenRefused("The token is bound to another key.", code="token_key_mismatch")


def _replayed() -> ProofRefused:
    return ProofRefused("The proof was used before; make one for each request.", code="proof_used")
