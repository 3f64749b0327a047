"""The cost of a token that is bound to a key, beside the signature checks that it needs.

The first request with a token takes two, the token's and the proof's; all others take one. Each
request has a proof of its own.
"""

from __future__ import annotations

import itertools
import secrets
import time

from auth_agent.flow.drive import run
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.protocol.jose.algorithms import verifier
from auth_agent.website.web.outcome import Pass
from auth_agent.website.web.visit import Visit
from benchmarks.measure import compare, report
from benchmarks.site import Site

URL, TOKENS, TIMES = "https://shop.example/", 500, 2_000


class _Request(Visit):
    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("GET", "/")
        self._headers = headers

    def header(self, name: str) -> str | None:
        return self._headers.get(name)

    @property
    def raw_path(self) -> str:
        return "/"

    @property
    def query(self) -> str:
        return ""


def main() -> None:
    site, key = Site(), new_proof_key()
    binding = {"cnf": {"jkt": key.jkt}, "aud": "https://shop.example"}
    tokens = [site.server.access_token(**binding) for _ in range(TOKENS)]
    party = site.relying_party
    known, public, proof_public = tokens[0], site.server.key.public_key(), key.private.public_key()

    def request(token: str) -> _Request:
        proof = make_proof(
            key, method="GET", url=URL, now=time.time(), jti=secrets.token_urlsafe(12),
            access_token=token,
        )  # fmt: skip
        return _Request({"authorization": f"DPoP {token}", "dpop": proof})

    count = TIMES * 2 + TIMES // 10 * 2  # each is sent once, and one batch is a warm-up
    first = iter([request(token) for token in itertools.islice(itertools.cycle(tokens), count)])
    again = iter([request(known) for _ in range(count)])
    proof_text = request(known).header("dpop")

    def two_checks() -> None:
        verifier("ES256").decode(known, public, algorithms=["ES256"])
        verifier("ES256").decode(proof_text or "", proof_public, algorithms=["ES256"])

    def first_sight() -> None:
        outcome = run(party.enter(next(first)))  # type: ignore[arg-type]
        assert isinstance(outcome, Pass)
        assert outcome.agent is not None
        party._recogniser.bearers._known.clear()

    def seen_before() -> None:
        outcome = party.enter(next(again))
        assert isinstance(outcome, Pass)
        assert outcome.agent is not None

    costs = compare({"two signature checks": two_checks, "the first request": first_sight}, TIMES)
    run(party._recogniser.bearers.resolve(known))
    costs |= compare({"the token seen before": seen_before}, TIMES)
    report("A token that is bound to a key (DPoP)", costs)
