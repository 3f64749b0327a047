"""Each algorithm with each kind of key, and the hash that belongs to it."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from auth_agent.errors import ServerMisbehaved, TokenRefused
from auth_agent.protocol.jose.algorithms import ALGORITHMS, library_name
from auth_agent.protocol.jose.id_token import Expected, read_id_token, verify_id_token
from auth_agent.protocol.jose.jwks import Key, parse_jwks
from auth_agent.protocol.jose.jws import verify_signature
from auth_agent.testing.provider import json_response

NOW = 1_800_000_000
ACCESS_TOKEN = "at_whatever"
# Algorithm -> kind of key, and what the access token is hashed with (OpenID Connect Core 3.1.3.6).
FITTING = {
    **{
        f"{family}{bits}": ("RSA", f"sha{bits}")
        for family in ("RS", "PS")
        for bits in (256, 384, 512)
    },
    "ES256": ("P-256", "sha256"),
    "ES384": ("P-384", "sha384"),
    "ES512": ("P-521", "sha512"),
    "EdDSA": ("Ed25519", "sha512"),
    "Ed25519": ("Ed25519", "sha512"),
}


@cache
def private_key(kind):
    makers = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
        "Ed448": ed448.Ed448PrivateKey.generate,
    }
    return makers[kind]()


KINDS = ("RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448")


def public_jwk(kind, **changes):
    name = {"RSA": "RS256", "Ed25519": "EdDSA", "Ed448": "EdDSA"}.get(kind, "ES256")
    algorithm = jwt.get_algorithm_by_name(name)
    jwk = algorithm.to_jwk(private_key(kind).public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {"kid": kind, **jwk, **changes}


def published(*jwks, status=200):
    return parse_jwks(json_response(status, {"keys": list(jwks)}))


def half(digest):
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def encode(claims, key, alg, kid):
    """Encodes by hand: PyJWT's own encoder offers EdDSA only, not Ed25519 (RFC 9864)."""
    jws = jwt.PyJWS()
    if alg not in jws.get_algorithms():
        jws.register_algorithm(alg, jwt.get_algorithm_by_name(library_name(alg)))
    return jws.encode(json.dumps(claims).encode(), key, alg, headers={"kid": kid, "typ": "JWT"})


def verify(kind, alg, at_hash):
    claims = {"iss": "https://auth.example", "aud": "shop", "sub": "agent_7", "nonce": "n",
              "iat": NOW, "exp": NOW + 60, "at_hash": at_hash}  # fmt: skip
    token = encode(claims, private_key(kind), alg, kind)
    header = read_id_token(token, allowed=ALGORITHMS)
    expected = Expected(
        issuer="https://auth.example", client_id="shop", nonce="n",
        access_token=ACCESS_TOKEN, max_age=60, now=NOW,
    )  # fmt: skip
    key = published(public_jwk(kind)).find(header.alg, header.kid)
    return verify_id_token(token, header, key, expected)


def test_every_algorithm_of_the_settings_is_here():
    assert set(FITTING) == set(ALGORITHMS)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_access_token_is_hashed_as_the_signature_is(alg):
    kind, right = FITTING[alg]
    for name in ("sha256", "sha384", "sha512"):
        at_hash = half(hashlib.new(name, ACCESS_TOKEN.encode()).digest())
        if name == right:
            assert verify(kind, alg, at_hash)["sub"] == "agent_7"
        else:
            with pytest.raises(TokenRefused, match="access token"):
                verify(kind, alg, at_hash)


def test_ed448_hashes_with_shake256():
    digest = hashlib.shake_256(ACCESS_TOKEN.encode()).digest(114)
    assert verify("Ed448", "EdDSA", half(digest))["sub"] == "agent_7"
    with pytest.raises(TokenRefused, match="access token"):
        verify("Ed448", "EdDSA", half(hashlib.sha512(ACCESS_TOKEN.encode()).digest()))


@pytest.mark.parametrize("alg", [*ALGORITHMS, "HS256", "none", "ES256K", ""])
def test_a_key_fits_its_own_algorithms_only(alg):
    keys = published(*(public_jwk(kind) for kind in KINDS))
    fitting = {kind for kind in KINDS if keys.find(alg, kind) is not None}
    expected = {FITTING[alg][0]} if alg in FITTING else set()
    assert fitting == (expected | {"Ed448"} if alg == "EdDSA" else expected)


@pytest.mark.parametrize(
    ("alg", "other"), [("ES256", "P-384"), ("RS256", "P-256"), ("EdDSA", "RSA")]
)
def test_a_signature_is_not_even_tried_with_a_key_that_does_not_fit(alg, other):
    """Raises `key_mismatch` whichever side chose the key."""
    (key,) = published(public_jwk(other)).keys
    with pytest.raises(TokenRefused) as caught:
        verify_signature("a.b.c", key, alg)
    assert caught.value.code == "key_mismatch"


def test_a_keys_own_algorithm_is_the_only_one_for_it():
    (key,) = published(public_jwk("RSA", alg="PS256")).keys
    assert (key.fits("PS256"), key.fits("RS256")) == (True, False)


UNUSABLE = [
    {"use": "enc"},
    {"use": ["sig"]},
    {"key_ops": ["sign"]},
    {"key_ops": "verify"},
    {"key_ops": []},
    {"kid": 7},
    {"alg": 7},
    {"alg": ["ES256"]},
    {"kty": "oct"},
    {"kty": None},
    {"crv": "P-384"},
    {"crv": "secp256k1"},
    {"crv": None},
    {"x": "AA"},
    {"x": 7},
    {"x": None},
    {"y": "!"},
    {"d": "AA"},
    {"d": None},
]


@pytest.mark.parametrize("change", UNUSABLE, ids=str)
def test_an_unusable_key_beside_a_good_one_is_skipped(change):
    keys = published(public_jwk("P-256", **change), public_jwk("P-384"))
    assert [key.crv for key in keys.keys] == ["P-384"]


@pytest.mark.parametrize("change", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"x5c": ["MIIB"]}])
def test_a_usable_key_is_kept(change):
    assert len(published(public_jwk("P-256", **change)).keys) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_that_is_published_is_skipped(kind):
    """Skips a key that anyone who has read it can sign with."""
    name = {"RSA": "RS256", "Ed25519": "EdDSA", "Ed448": "EdDSA"}.get(kind, "ES256")
    private = jwt.get_algorithm_by_name(name).to_jwk(private_key(kind), as_dict=True)
    private.pop("key_ops", None)
    assert "d" in private
    good = "P-384" if kind == "P-256" else "P-256"
    keys = published({**private, "kid": kind}, public_jwk(good))
    assert [key.kid for key in keys.keys] == [good]


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_weak_rsa_key_is_skipped(bits):
    number = (1 << (bits - 1)) + 1
    weak = base64.urlsafe_b64encode(number.to_bytes(256, "big").lstrip(b"\0")).decode().rstrip("=")
    keys = published(public_jwk("RSA", n=weak), public_jwk("P-256"))
    assert [key.kty for key in keys.keys] == ["EC"]


def test_of_two_keys_with_one_name_none_is_chosen():
    """Refuses to guess which of the two keys is right."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    twin = jwt.get_algorithm_by_name("ES256").to_jwk(other, as_dict=True)
    keys = published(public_jwk("P-256"), {**twin, "kid": "P-256"})
    assert keys.find("ES256", "P-256") is None
    keys = published(public_jwk("P-256"), public_jwk("P-384", kid="P-256"))
    assert keys.find("ES256", "P-256").crv == "P-256", "but only one fits"


def test_a_key_without_a_name_answers_to_none():
    keys = published({**public_jwk("P-256"), "kid": None})
    assert keys.find("ES256", "None") is None
    assert keys.find("ES256", "") is None
    assert isinstance(keys.find("ES256", None), Key)


def test_a_hundred_keys_are_read_and_no_more():
    keys = published(*(public_jwk("P-256", kid=str(number)) for number in range(150)))
    assert len(keys.keys) == 100


@pytest.mark.parametrize("status", [201, 204, 302, 404])
def test_keys_count_only_in_a_good_answer(status):
    with pytest.raises(ServerMisbehaved, match=f"status {status}"):
        published(public_jwk("P-256"), status=status)


@pytest.mark.parametrize(
    "document", [[], {"keys": {}}, {"keys": "x"}, {}, {"keys": [[], 7, None, ""]}]
)
def test_what_is_no_key_set_is_said(document):
    answer = json_response(200, {})
    with pytest.raises(ServerMisbehaved):
        parse_jwks(type(answer)(200, {}, json.dumps(document).encode()))


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("named", [None, "EdDSA", "Ed25519"])
def test_a_key_on_ed25519_may_carry_either_name(alg, named):
    changes = {} if named is None else {"alg": named}
    keys = published(public_jwk("Ed25519", **changes), public_jwk("RSA"))
    assert keys.find(alg, "Ed25519") is not None


def test_ed25519_is_never_another_curve():
    keys = published(public_jwk("Ed448"), public_jwk("P-256"))
    assert keys.find("Ed25519", "Ed448") is None
    assert keys.find("Ed25519", "P-256") is None
