"""The private key of a website that authenticates with `private_key_jwt`."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import msgspec

from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS
from auth_agent.secret import Discreet, Secret

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class PrivateKey(Discreet, frozen=True):
    """A key, the algorithm that it signs with, and its thumbprint (RFC 7638)."""

    key: Any
    alg: str
    kid: str

    def __repr__(self) -> str:
        return f"PrivateKey({self.alg}, kid={self.kid})"


def key_problem(pem: Secret) -> bool:
    """Returns why this cannot be a signing key, or None."""
    try:
        load_key(pem)
    except ValueError:
        return True
    return False


@functools.lru_cache(maxsize=16)
def load_key(pem: Secret) -> PrivateKey:
    """Loads an EC, RSA (2048 bits or more) or Ed25519 key; raises `ValueError` for others."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem.reveal().encode(), None)
    except (TypeError, UnsupportedAlgorithm):  # encrypted with a password, or an unusual kind
        raise ValueError("not a usable key") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        alg = _CURVES[key.curve.name]
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        alg = "RS256"
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        alg = "EdDSA"
    else:
        raise ValueError("not a usable key")
    return PrivateKey(key, alg, thumbprint(public_jwk(key, alg)))


def public_jwk(key: Any, alg: str) -> dict[str, Any]:
    """Returns the public key for the server (RFC 7517)."""
    import jwt  # noqa: PLC0415

    jwk: dict[str, Any] = jwt.get_algorithm_by_name(alg).to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return jwk


def is_thumbprint(value: object) -> bool:
    """Returns True for the form of a SHA-256 thumbprint."""
    return isinstance(value, str) and _THUMBPRINT.fullmatch(value) is not None


def thumbprint(jwk: dict[str, Any]) -> str:
    """Returns the SHA-256 of the required members, in lexicographic order (RFC 7638 3)."""
    required = {
        "EC": ("crv", "kty", "x", "y"),
        "RSA": ("e", "kty", "n"),
        "OKP": ("crv", "kty", "x"),
    }
    canonical = msgspec.json.encode({name: jwk[name] for name in required[jwk["kty"]]})
    return encode(hashlib.sha256(canonical).digest())
