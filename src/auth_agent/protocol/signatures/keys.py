"""Keys that verify signatures, their algorithms, and the check of one signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from auth_agent.protocol.jose.algorithms import is_small_order
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS
from auth_agent.protocol.jose.private_key import thumbprint

ED25519, P256, RSA_PSS = "ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"
_ALGORITHMS = {
    "OKP Ed25519": ED25519,
    "EC P-256": P256,
    "RSA": RSA_PSS,
}
# In key sets `alg` is written in many ways (JOSE's or RFC 9421's): only a contradiction counts.
_SPELLINGS = {
    ED25519: ("ed25519", "eddsa"),
    P256: ("es256", P256),
    RSA_PSS: ("ps512", RSA_PSS),
}

# RFC 9421 B.1 publishes the private halves: a signature by them proves nothing.
PUBLISHED_KEYS = frozenset(
    {
        "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
        "oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA",
        "ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI",
        "BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo",
    }
)


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key; `keyid` is its thumbprint (RFC 7638), computed here."""

    keyid: str
    alg: str
    public: Any
    not_before: float = 0.0
    not_after: float = float("inf")


def read_key(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    """Returns a JSON Web Key as a key for signatures, or None if it is none that counts here."""
    from jwt import PyJWK  # noqa: PLC0415  # 100 ms that the first request need not wait for
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    alg = _ALGORITHMS.get(f"{jwk.get('kty')} {jwk.get('crv', '')}".strip())
    if alg is None or not _may_verify(jwk, alg):
        return None
    bare = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    name = {ED25519: "EdDSA", P256: "ES256", RSA_PSS: "PS512"}[alg]
    try:
        public = PyJWK(bare, algorithm=name).key
        keyid = _thumbprint_of(public, name)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    if alg == ED25519 and is_small_order(public.public_bytes_raw()):
        return None
    if keyid in PUBLISHED_KEYS or (alg == RSA_PSS and not MIN_RSA_BITS <= public.key_size <= 8_192):
        return None
    times = jwk.get("nbf", 0), jwk.get("exp", float("inf"))
    if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in times):
        return None
    return VerifyingKey(keyid, alg, public, *times)


def is_signed(key: VerifyingKey, signature: bytes, base: bytes) -> bool:
    """Returns whether the signature is this key's over this base."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        _VERIFY[key.alg](key.public, signature, base)
    except (InvalidSignature, ValueError):
        return False
    return True


def _thumbprint_of(public: Any, name: str) -> str:
    """Hashes the key itself: a set may write its numbers in a way that has another digest."""
    import jwt  # noqa: PLC0415

    return thumbprint(jwt.get_algorithm_by_name(name).to_jwk(public, as_dict=True))


def _may_verify(jwk: Mapping[str, Any], alg: str) -> bool:
    operations, named = jwk.get("key_ops"), jwk.get("alg")
    return (
        jwk.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and "d" not in jwk  # its private half is public, so any reader can sign with it
        and (named is None or (isinstance(named, str) and named.lower() in _SPELLINGS[alg]))
    )


def _verify_ed25519(public: Any, signature: bytes, base: bytes) -> None:
    public.verify(signature, base)


def _verify_p256(public: Any, signature: bytes, base: bytes) -> None:
    """Verifies r and s, 32 bytes each (RFC 9421 3.3.4)."""
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    if len(signature) != 64:
        raise ValueError("not r and s")
    numbers = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    public.verify(utils.encode_dss_signature(*numbers), base, ec.ECDSA(SHA256()))


def _verify_rsa_pss(public: Any, signature: bytes, base: bytes) -> None:
    """Verifies with SHA-512 and a salt of 64 bytes (RFC 9421 3.3.1)."""
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA512  # noqa: PLC0415

    scheme = padding.PSS(mgf=padding.MGF1(SHA512()), salt_length=64)
    public.verify(signature, base, scheme, SHA512())


_VERIFY = {ED25519: _verify_ed25519, P256: _verify_p256, RSA_PSS: _verify_rsa_pss}
