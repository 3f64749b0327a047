"""Signature algorithms (RFC 7518, RFC 8037, RFC 9864): their keys and their hashes."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

from auth_agent.protocol.jose.base64url import encode

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

# JWA algorithm -> key types and curves. All are asymmetric.
FITTING: dict[str, tuple[tuple[str, str | None], ...]] = {
    "ES256": (("EC", "P-256"),),
    "ES384": (("EC", "P-384"),),
    "ES512": (("EC", "P-521"),),
    **{f"{name}{bits}": (("RSA", None),) for name in ("RS", "PS") for bits in (256, 384, 512)},
    "EdDSA": (("OKP", "Ed25519"), ("OKP", "Ed448")),
    "Ed25519": (("OKP", "Ed25519"),),
}
ALGORITHMS = tuple(FITTING)
# RFC 9864 gives EdDSA on the curve Ed25519 a name of its own; keys may carry either.
_SAME = ("EdDSA", "Ed25519")

# The points of Ed25519 whose order is 8 or less, without the bit that is the sign of x; the last
# two are 0 and 1 in a spelling that is not reduced. Everybody can sign for such a key.
_SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


def is_small_order(point: bytes) -> bool:
    """Returns True for a public key of Ed25519 for which signatures need no private key."""
    return point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER


def fits(alg: str, kty: str, crv: str | None, named: str | None) -> bool:
    """Returns True if a key of this type and curve, with `named` as `alg`, fits the algorithm."""
    same = named in (None, alg) or (alg in _SAME and named in _SAME)
    return same and (kty, crv) in FITTING.get(alg, ())


def algorithms_of(kty: str, crv: str | None) -> tuple[str, ...]:
    """Returns every algorithm that a key of this type and curve fits."""
    return tuple(alg for alg, fitting in FITTING.items() if (kty, crv) in fitting)


def library_name(alg: str) -> str:
    """Returns PyJWT's name of the algorithm."""
    return "EdDSA" if alg == "Ed25519" else alg


def is_signed(data: bytes, signature: bytes, public: Any, alg: str) -> bool:
    """Returns True if the key signed the data with this algorithm; False if it does not fit it."""
    import jwt  # noqa: PLC0415  # 100 ms that the first request need not wait for

    try:
        algorithm = _implementation(alg)
        return algorithm.verify(data, algorithm.prepare_key(public), signature)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def signature_of(data: bytes, private: Any, alg: str) -> bytes:
    """Returns the signature by a private key, which has to fit the algorithm."""
    return _implementation(alg).sign(data, private)


@functools.cache
def _implementation(alg: str) -> Algorithm:
    """Returns PyJWT's implementation of an algorithm of ours; ValueError for any other."""
    import jwt  # noqa: PLC0415  # 100 ms that the first request need not wait for

    if alg not in FITTING:
        raise ValueError("not a signature algorithm")
    return jwt.get_algorithm_by_name(library_name(alg))


def half_hash(token: str, alg: str, crv: str | None = None) -> str:
    """Returns `at_hash` (OpenID Connect Core 3.1.3.6): half of the signature's own hash."""
    data = token.encode()
    if crv == "Ed448":  # RFC 8032 5.2: SHAKE256, 114 bytes
        digest = hashlib.shake_256(data).digest(114)
    else:
        hashes = {"256": hashlib.sha256, "384": hashlib.sha384}
        digest = hashes.get(alg[2:], hashlib.sha512)(data).digest()  # Ed25519: SHA-512
    return encode(digest[: len(digest) // 2])
