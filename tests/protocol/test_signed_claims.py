"""A compact JWS: nothing but its own key and algorithm, in its one form, is accepted."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.base64url import decode, encode
from auth_agent.protocol.jose.jws import sign, signed_claims

EC, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
P384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {"sub": "ann", "exp": 1}


def _token(header: Any, private: Any = EC, alg: str = "ES256", payload: bytes = b"{}") -> str:
    """Returns a token that is signed as `alg`, whatever its header says."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = f"{encode(raw)}.{encode(payload)}"
    signature = jwt.get_algorithm_by_name(alg).sign(signed.encode(), private)
    return f"{signed}.{encode(signature)}"


@pytest.mark.parametrize(
    ("alg", "library", "private"),
    [
        ("ES256", "ES256", EC),
        ("ES384", "ES384", P384),
        ("RS256", "RS256", RSA),
        ("PS256", "PS256", RSA),
        ("EdDSA", "EdDSA", ED),
        ("Ed25519", "EdDSA", ED),
    ],
)
def test_what_one_library_signs_the_other_verifies(alg: str, library: str, private: Any) -> None:
    header = {"alg": alg, "kid": "k", "typ": "at+jwt"}
    ours = sign(header, json.dumps(CLAIMS).encode(), private)
    assert signed_claims(ours, private.public_key(), alg) == CLAIMS
    assert jwt.get_unverified_header(ours) == header
    verifier = jwt.PyJWS([library])
    if alg != library:
        verifier.register_algorithm(alg, jwt.get_algorithm_by_name(library))
    assert json.loads(verifier.decode(ours, private.public_key(), algorithms=[alg])) == CLAIMS
    theirs = jwt.encode(CLAIMS, private, library, {"kid": "k"})
    if alg == library:
        assert signed_claims(theirs, private.public_key(), alg) == CLAIMS


def test_a_header_is_written_as_before() -> None:
    header = {"alg": "ES256", "kid": "0123abcd", "typ": "at+jwt"}
    ours = sign(header, b"{}", EC).split(".")[0]
    theirs = jwt.PyJWS().encode(b"{}", EC, "ES256", {"kid": "0123abcd", "typ": "at+jwt"})
    assert ours == theirs.split(".")[0]


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": "ES384"},
        {"alg": "none"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["ES256"]},
        {"alg": "ES256", "crit": ["exp"], "exp": 1},
        {"alg": "ES256", "crit": ["b64"], "b64": True},
        {"alg": "ES256", "crit": []},
        {"alg": "ES256", "crit": None},
        {"alg": "ES256", "b64": False},
        b'"ES256"',
        b"[]",
        b"{",
        b'{"alg":"ES256","x":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b"\xff",
    ],
)
def test_a_header_that_names_anything_else_is_refused(header: Any) -> None:
    with pytest.raises(TokenRefused):
        signed_claims(_token(header), EC.public_key(), "ES256")


@pytest.mark.parametrize(
    ("public", "alg"),
    [
        (OTHER.public_key(), "ES256"),
        (P384.public_key(), "ES256"),
        (RSA.public_key(), "ES256"),
        (ED.public_key(), "ES256"),
        (EC.public_key(), "ES384"),
        (EC.public_key(), "RS256"),
        (EC.public_key(), "EdDSA"),
        (EC.public_key(), "HS256"),
        (EC.public_key(), "none"),
        (b"a secret", "HS256"),
        ("text", "ES256"),
        (None, "ES256"),
    ],
)
def test_only_the_key_and_the_algorithm_that_signed_are_right(public: Any, alg: str) -> None:
    for named in {"ES256", alg}:
        with pytest.raises(TokenRefused) as refused:
            signed_claims(_token({"alg": named}), public, alg)
        assert refused.value.code == "signature_invalid"


def test_each_part_has_one_form() -> None:
    token = _token({"alg": "ES256"}, payload=b'{"a":1}')
    assert signed_claims(token, EC.public_key(), "ES256") == {"a": 1}
    parts = token.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    again = letters[letters.index(parts[2][-1]) ^ 1]  # 64 bytes leave four bits of it unused
    loose = parts[2][:-1] + again
    assert decode(loose) == decode(parts[2])
    for changed in (
        f"{parts[0]}.{parts[1]}.{loose}",
        f"{parts[0]}.{parts[1]}.{parts[2]}==",
        f"{parts[0]}.{parts[1]}.{parts[2]}\n",
        f"{parts[0]}.{parts[1]}.{parts[2]} ",
        f"{parts[0]}.{parts[1]}.",
        f"{parts[0]}.{parts[1]}",
        f"{parts[0]}..{parts[2]}",
        f"{parts[0]}.{parts[1]}é.{parts[2]}",
        f"{parts[0]}.{encode(b'{}')}.{parts[2]}",
        f".{token}",
        f"{token}.",
        "",
        ".",
        "..",
    ):
        with pytest.raises(TokenRefused):
            signed_claims(changed, EC.public_key(), "ES256")


@pytest.mark.parametrize("payload", [b"[]", b"1", b"{", b'"x"', b"\xff", b"{}" * 2])
def test_what_is_signed_has_to_be_an_object(payload: bytes) -> None:
    with pytest.raises(TokenRefused):
        signed_claims(_token({"alg": "ES256"}, payload=payload), EC.public_key(), "ES256")
