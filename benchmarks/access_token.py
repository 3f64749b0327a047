"""The cost of a bearer token at first sight, beside PyJWT's own decode of the same token."""

from __future__ import annotations

import itertools

import jwt

from auth_agent.flow.drive import run
from auth_agent.website.web.outcome import Recognised
from benchmarks.measure import compare, report
from benchmarks.site import Site

TOKENS, TIMES = 500, 3_000


def main() -> None:
    site = Site()
    key = site.server.key.public_key()
    tokens = [site.server.access_token(aud="https://shop.example") for _ in range(TOKENS)]
    for_pyjwt, for_us = itertools.cycle(tokens), itertools.cycle(tokens)
    bearers = site.relying_party._recogniser.bearers
    again_header = f"Bearer {tokens[0]}"

    def decode() -> None:
        jwt.decode(
            next(for_pyjwt), key, ["ES256"], audience="https://shop.example",
            issuer=site.server.issuer, leeway=60,
        )  # fmt: skip

    def first_sight() -> None:
        run(bearers.resolve(next(for_us)))
        bearers._known.clear()

    def again() -> None:
        assert isinstance(bearers.recognise(again_header), Recognised)

    costs = compare({"PyJWT decode": decode, "first sight": first_sight}, TIMES)
    run(bearers.resolve(again_header.removeprefix("Bearer ")))
    costs |= compare({"the same token again": again}, TIMES)
    report("A bearer token", costs)
