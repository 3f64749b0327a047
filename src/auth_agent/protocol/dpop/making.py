"""Making proofs (RFC 9449 4.2); key, time and chance come in as arguments."""

from __future__ import annotations

from typing import Any

from auth_agent.protocol.dpop.proof import token_hash
from auth_agent.protocol.dpop.target import bare_target
from auth_agent.protocol.jose.private_key import public_jwk, thumbprint
from auth_agent.secret import Discreet

ALGORITHM = "ES256"


class ProofKey(Discreet, frozen=True):
    """A private key for proofs, its public half, and its thumbprint (`jkt`)."""

    private: Any
    public: dict[str, Any]
    jkt: str

    def __repr__(self) -> str:
        return f"ProofKey(jkt={self.jkt!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a key for proofs stays in the process that made it")


def new_proof_key() -> ProofKey:
    """Makes a key (P-256) that lives in this process alone."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    public = public_jwk(private, ALGORITHM)
    return ProofKey(private, public, thumbprint(public))


def make_proof(
    key: ProofKey,
    *,
    method: str,
    url: str,
    now: float,
    jti: str,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """Returns the value of the `DPoP` header for one request; `jti` is new each time."""
    import jwt  # noqa: PLC0415

    claims: dict[str, Any] = {"jti": jti, "htm": method, "htu": bare_target(url), "iat": int(now)}
    if access_token is not None:
        claims["ath"] = token_hash(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    headers = {"typ": "dpop+jwt", "jwk": key.public}
    return jwt.encode(claims, key.private, ALGORITHM, headers)
