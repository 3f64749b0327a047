"""Checks of a proof (RFC 9449 4.3): cheap ones first, one signature, and replay left to the caller.

The key comes from the proof itself, so that a good proof tells only who holds the key with this
thumbprint (`Proof.jkt`); a token that is bound to the same thumbprint is what admits.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from auth_agent.errors import ProofRefused
from auth_agent.flow.documents import read_object
from auth_agent.protocol.dpop.target import is_same_target
from auth_agent.protocol.jose.algorithms import fits, is_small_order, library_name
from auth_agent.protocol.jose.base64url import decode_strictly, encode
from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.secret import Discreet

ADVERTISED = ("ES256", "EdDSA")
"""The algorithms of proofs, as metadata and challenges name them."""
MAX_PROOF = 8_192
MAX_NAME = 256
SECONDS_BACK, SECONDS_AHEAD = 300, 30
"""A proof is valid from so long before its `iat` until so long after it."""
MAX_KEYS = 512

# RFC 9864 gives EdDSA on the curve Ed25519 a name of its own; some libraries send it.
_ALGORITHMS = (*ADVERTISED, "Ed25519")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_MEMBERS = {"EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_CURVES = ("P-256", "Ed25519")


class Proof(Discreet, frozen=True):
    """A proof that passed every check but replay."""

    jkt: str
    """The thumbprint (RFC 7638) of the key that signed."""
    jti: str
    htu: str
    iat: float
    nonce: str | None

    def __repr__(self) -> str:
        return f"Proof(jkt={self.jkt!r})"

    def mark(self) -> bytes:
        """Returns what is remembered: the same `jti` elsewhere, or of another key, differs."""
        named = "\0".join((self.jkt, self.htu, self.jti))
        return hashlib.sha256(named.encode("utf-8", "replace")).digest()

    def expires_at(self) -> float:
        """Returns when the proof can no longer be sent again."""
        return self.iat + SECONDS_BACK


class _Signer(NamedTuple):
    algorithm: Any
    key: Any
    jkt: str


def check_proof(
    text: str | None, *, method: str, url: str, now: float, access_token: str | None = None
) -> Proof:
    """Returns the proof of a request; raises `ProofRefused`, whose code names the failed check.

    `text` are all `DPoP` headers of the request, joined by commas. `url` is the request's URL
    without its query. The caller compares `jkt` with the token's, and sees to replay and nonce.
    """
    if text is None:
        raise ProofRefused("The request has no proof (DPoP header).", code="proof_missing")
    if "," in text:
        raise ProofRefused(
            "The request has more than one proof (DPoP header).", code="proof_repeated"
        )
    if len(text) > MAX_PROOF or not _COMPACT.fullmatch(text):
        raise _malformed()
    head, body, signature = text.split(".")
    signer = _signer(head)
    claims = _object(body)
    proof = _read(claims, signer.jkt)
    _check_request(claims, method=method, url=url, now=now)
    _check_token(claims.get("ath"), access_token)
    _check_signature(signer, f"{head}.{body}", signature)
    return proof


def token_hash(access_token: str) -> str:
    """Returns `ath` of a token (RFC 9449 4.2)."""
    return encode(hashlib.sha256(access_token.encode("ascii", "replace")).digest())


def is_same_key(jkt: str, other: str) -> bool:
    """Compares two thumbprints in constant time."""
    return hmac.compare_digest(jkt.encode(), other.encode())


@functools.lru_cache(MAX_KEYS)
def _signer(head: str) -> _Signer:
    """Returns the key of a proof's header, which is the same for all proofs of one client."""
    header = _object(head)
    if header.get("typ") != "dpop+jwt":
        raise ProofRefused("The proof is not of type dpop+jwt.", code="proof_type")
    if "crit" in header:  # RFC 7515 4.1.11: none of its extensions is known here
        raise ProofRefused("The proof has critical extensions.", code="proof_malformed")
    alg, jwk = header.get("alg"), header.get("jwk")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:
        raise ProofRefused(
            f"The proof is not signed with {' or '.join(ADVERTISED)}.", code="proof_algorithm"
        )
    if not isinstance(jwk, dict):
        raise ProofRefused("The proof contains no public key (jwk).", code="proof_key")
    return _read_key(jwk, alg)


def _read_key(jwk: Mapping[str, Any], alg: str) -> _Signer:
    from jwt import PyJWK  # noqa: PLC0415  # 100 ms that the first request need not wait for
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    if any(name in jwk for name in _PRIVATE):
        raise ProofRefused(
            "The proof contains a private key; send the public half only.", code="proof_key"
        )
    kty, crv, named = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    members = _MEMBERS.get(kty) if isinstance(kty, str) else None
    fitting = members is not None and crv in _CURVES and isinstance(named, str | None)
    if not fitting or not fits(alg, str(kty), crv, named):
        raise ProofRefused(
            "The proof's key and algorithm do not belong together.", code="proof_key"
        )
    public: dict[str, Any] = {name: jwk.get(name) for name in members or ()}
    try:
        if not all(len(decode_strictly(public[name])) == 32 for name in public if name in "xy"):
            raise ValueError("not a coordinate")  # noqa: TRY301
        if crv == "Ed25519" and is_small_order(decode_strictly(public["x"])):
            raise ValueError("nobody's key")  # noqa: TRY301
        found = PyJWK(public, library_name(alg))
    except (PyJWTError, ValueError, TypeError, AttributeError):
        raise ProofRefused("The proof's key is not valid.", code="proof_key") from None
    return _Signer(found.Algorithm, found.key, thumbprint(public))


def _read(claims: Mapping[str, Any], jkt: str) -> Proof:
    jti, htu, iat, nonce = (claims.get(name) for name in ("jti", "htu", "iat", "nonce"))
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_NAME:
        raise ProofRefused(f"The proof's jti is not 1 to {MAX_NAME} characters.", code="proof_jti")
    if not isinstance(htu, str) or not isinstance(claims.get("htm"), str):
        raise ProofRefused("The proof names no method (htm) or URL (htu).", code="proof_target")
    if isinstance(iat, bool) or not isinstance(iat, int | float):
        raise ProofRefused("The proof has no time (iat).", code="proof_time")
    if not isinstance(nonce, str | None):
        raise ProofRefused("The proof's nonce is not text.", code="proof_nonce")
    return Proof(jkt, jti, htu, iat, nonce)


def _check_request(claims: Mapping[str, Any], *, method: str, url: str, now: float) -> None:
    if claims["htm"] != method:
        raise ProofRefused("The proof is for another method (htm).", code="proof_method")
    if not is_same_target(claims["htu"], url):
        raise ProofRefused("The proof is for another URL (htu).", code="proof_target")
    if not now - SECONDS_BACK <= claims["iat"] <= now + SECONDS_AHEAD:
        raise ProofRefused(
            f"The proof's time (iat) is more than {SECONDS_BACK} seconds in the past or "
            f"{SECONDS_AHEAD} in the future. Make a proof for each request; compare the clocks "
            "of both machines.",
            code="proof_time",
        )


def _check_token(ath: object, access_token: str | None) -> None:
    if access_token is None:
        return
    if not isinstance(ath, str) or not hmac.compare_digest(
        ath.encode("utf-8", "replace"), token_hash(access_token).encode()
    ):
        raise ProofRefused("The proof is for another token (ath).", code="proof_token")


def _check_signature(signer: _Signer, signed: str, signature: str) -> None:
    try:
        good = signer.algorithm.verify(signed.encode("ascii"), signer.key, _bytes(signature))
    except (ValueError, TypeError):
        good = False
    if good is not True:
        raise ProofRefused("The proof's signature is wrong.", code="proof_signature")


def _object(part: str) -> dict[str, Any]:
    try:
        value = read_object(_bytes(part))
    except ValueError:
        raise _malformed() from None
    if value is None:
        raise _malformed()
    return value


def _bytes(part: str) -> bytes:
    return decode_strictly(part)


def _malformed() -> ProofRefused:
    return ProofRefused("The proof is not one well-formed JWT.", code="proof_malformed")
