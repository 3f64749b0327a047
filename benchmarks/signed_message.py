"""The cost of a signed request beside the bare check of its Ed25519 signature."""

from __future__ import annotations

import itertools
import json
import os
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from auth_agent import RelyingParty, Settings
from auth_agent.asgi import AsgiVisit
from auth_agent.flow import drive
from auth_agent.flow.exchange import HttpResponse
from auth_agent.flow.fetching import shared
from auth_agent.protocol.jose.private_key import PrivateKey, public_jwk
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.directory import MEDIA_TYPE
from auth_agent.protocol.signatures.fields import read_signatures
from auth_agent.protocol.signatures.message import request_message
from auth_agent.protocol.signatures.sign import load_signing_key, sign_request
from auth_agent.secret import Secret
from auth_agent.website.web.outcome import Pass
from benchmarks.measure import compare, report
from benchmarks.site import Site, learn_keys

SIGNATURES, TIMES = 500, 3_000
AGENT, URL = "https://bot.example", "https://shop.example/"

Headers = list[tuple[bytes, bytes]]


def main() -> None:
    key = new_key()
    site = Site()
    signed_site = website(site, key)
    fresh = [sign(key) for _ in range(SIGNATURES)]
    signature, base = raw_parts(fresh[0])
    public, plain = key.key.public_key(), site.relying_party
    token = site.server.access_token(aud="https://shop.example")
    bearer = [(b"accept", b"*/*"), (b"authorization", f"Bearer {token}".encode())]
    new = itertools.cycle(fresh)
    memory = signed_site._recogniser._signed._signatures._known  # type: ignore[union-attr]

    def never_seen() -> None:
        memory.clear()
        enter(signed_site, next(new))

    cases = {
        "Ed25519 alone": lambda: public.verify(signature, base),
        "bearer token seen before": lambda: enter(plain, bearer),
        "the same, signatures accepted": lambda: enter(signed_site, bearer),
        "anonymous, signatures off": lambda: enter(plain, fresh[0], nobody=True),
        "signature never seen": never_seen,
    }
    for case in cases.values():
        case()
    costs = compare(cases, TIMES)
    enter(signed_site, fresh[0])
    costs |= compare({"signature seen before": lambda: enter(signed_site, fresh[0])}, TIMES)
    report("A signed request", costs)
    drive.close()


def new_key() -> PrivateKey:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return load_signing_key(Secret(pem.decode()))


def website(site: Site, key: PrivateKey) -> RelyingParty:
    """Builds the same website with signatures accepted; its directory needs no network."""
    settings = Settings(
        issuer=site.server.issuer,
        client_id=site.server.client_id,
        client_secret=site.server.client_secret,
        secret="a secret of the website that is long enough",
        base_url="https://shop.example",
        signatures=AGENT,
    )
    body = json.dumps({"keys": [public_jwk(key.key, key.alg)]}).encode()
    answer = HttpResponse(200, {"content-type": MEDIA_TYPE}, body)
    shared.fetch = lambda _effect: answer
    relying_party = RelyingParty(settings)
    learn_keys(relying_party, site.server)
    return relying_party


def sign(key: PrivateKey) -> Headers:
    made = sign_request(
        "GET", URL, key=key, agent=AGENT, now=time.time(), nonce=os.urandom(16), lifetime=3_600
    )
    found = [(b"host", b"shop.example"), (b"accept", b"*/*")]
    return [*found, *((name.lower().encode(), value.encode()) for name, value in made)]


def raw_parts(headers: Headers) -> tuple[bytes, bytes]:
    """Returns the signature and what it signs."""
    pairs = [(name.decode(), value.decode()) for name, value in headers]
    message = request_message("GET", URL, pairs)
    (signed,) = read_signatures(message.header("signature-input"), message.header("signature"))
    return signed.signature, signature_base(message, signed)


def enter(relying_party: RelyingParty, headers: Headers, *, nobody: bool = False) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "root_path": "", "headers": headers,
    }  # fmt: skip
    outcome = relying_party.enter(AsgiVisit(scope))
    if not isinstance(outcome, Pass):
        outcome = drive.run(outcome)  # type: ignore[arg-type]
    assert isinstance(outcome, Pass)
    assert (outcome.agent is None) is nobody


if __name__ == "__main__":
    main()
