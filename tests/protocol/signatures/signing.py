"""Keys and signed requests for tests."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from auth_agent.protocol.jose.private_key import PrivateKey, public_jwk
from auth_agent.protocol.signatures.keys import ED25519, RSA_PSS, VerifyingKey
from auth_agent.protocol.signatures.sign import load_signing_key
from auth_agent.secret import Secret

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
AGENT = "https://id.acme.example/agents/agent_7"
NOW = 1_793_000_000


def new_key() -> PrivateKey:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return load_signing_key(Secret(pem.decode()))


def verifying(key: PrivateKey) -> VerifyingKey:
    return VerifyingKey(key.kid, ED25519, key.key.public_key())


def jwk_of(key: PrivateKey) -> dict[str, str]:
    return public_jwk(key.key, key.alg)


def published(name: str) -> VerifyingKey:
    """Returns a test key of RFC 9421, whose private half is public: no directory can publish it."""
    jwk = {k: v for k, v in VECTORS["keys"][name]["jwk"].items() if k != "d"}
    named, alg = (("EdDSA", ED25519), ("PS512", RSA_PSS))[jwk["kty"] == "RSA"]
    return VerifyingKey("of the vectors", alg, jwt.PyJWK(jwk, algorithm=named).key)
