"""Access tokens (RFC 9068) and ID tokens (OpenID Connect Core section 2)."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec import Struct

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.algorithms import half_hash
from auth_agent.protocol.jose.jws import read_header, signed_claims
from auth_agent.secret import Secret
from auth_agent.server.registry.claims import AgentRecord, claims_about
from auth_agent.server.security.keys.signing import SigningKey, Snapshot

LONGEST_TOKEN = 16_384
_ACCESS = frozenset(("exp", "iat", "sub", "sid", "client_id", "aud", "scope"))
_ID = frozenset(("aud", "sub", "sid"))


class Issue(Struct, frozen=True):
    """The input of one answer of the token endpoint; times in seconds."""

    key: SigningKey
    refresh_token: Secret
    issuer: str
    client_id: str
    family_id: str
    agent: AgentRecord
    model: str
    audience: tuple[str, ...]
    auth_time: int
    amr: tuple[str, ...]
    now: int
    access_lifetime: int
    id_token_lifetime: int
    nonce: str | None = None
    acr: str | None = None
    details: tuple[dict[str, Any], ...] = ()
    jkt: str | None = None

    @property
    def token_type(self) -> str:
        return "Bearer" if self.jkt is None else "DPoP"

    def approval(self) -> dict[str, Any]:
        """Returns the claims about the owner's approval; none if the owner was not asked."""
        if self.acr is None:
            return {}
        found: dict[str, Any] = {"acr": self.acr, "amr": list(self.amr)}
        if self.details:
            found["authorization_details"] = list(self.details)
        return found


def sign_access_token(key: SigningKey, issue: Issue, scope: str) -> str:
    """Returns a JWT of type `at+jwt`; `sid` names the family, through which it can be revoked."""
    claims = {
        "iss": issue.issuer,
        "sub": issue.agent.id,
        "aud": issue.audience[0] if len(issue.audience) == 1 else list(issue.audience),
        "client_id": issue.client_id,
        "iat": issue.now,
        "exp": issue.now + issue.access_lifetime,
        "jti": secrets.token_urlsafe(16),
        "sid": issue.family_id,
        "auth_time": issue.auth_time,
        "scope": scope,
        **({} if issue.jkt is None else {"cnf": {"jkt": issue.jkt}}),
        **issue.approval(),
        **claims_about(issue.agent, issue.model, scope.split()),
    }
    return key.sign(claims, "at+jwt")


def sign_id_token(key: SigningKey, issue: Issue, scope: str, access_token: str) -> str:
    """Returns an ID token for the website alone: `aud` is its client id."""
    claims = {
        "iss": issue.issuer,
        "sub": issue.agent.id,
        "aud": issue.client_id,
        "iat": issue.now,
        "exp": issue.now + issue.id_token_lifetime,
        "auth_time": issue.auth_time,
        "amr": list(issue.amr),
        "sid": issue.family_id,
        "at_hash": half_hash(access_token, key.algorithm),
        **issue.approval(),
        **claims_about(issue.agent, issue.model, scope.split()),
    }
    if issue.nonce is not None:
        claims["nonce"] = issue.nonce
    return key.sign(claims, "JWT")


def read_access_token(token: str, keys: Snapshot, issuer: str, now: float) -> dict[str, Any] | None:
    """Returns the claims of a valid access token of ours; None for anything else.

    The token does not tell whether it was revoked: ask for the family that `sid` names.
    """
    # RFC 9068 section 4: an ID token is not an access token.
    claims = _read(token, keys, issuer, "at+jwt", _ACCESS)
    if claims is None or type(claims["exp"]) is not int:
        return None
    return claims if claims["exp"] > now else None


def read_id_token(token: str, keys: Snapshot, issuer: str) -> dict[str, str] | None:
    """Returns `aud`, `sub` and `sid` of an ID token of ours, expired or not, else None.

    RP-Initiated Logout section 2: an ID token is a hint as long as it can be verified.
    """
    claims = _read(token, keys, issuer, "JWT", _ID)
    if claims is None:
        return None
    found = {name: claims[name] for name in ("aud", "sub", "sid")}
    return found if all(isinstance(value, str) for value in found.values()) else None


def _read(
    token: str, keys: Snapshot, issuer: str, typ: str, required: frozenset[str]
) -> dict[str, Any] | None:
    """Returns the claims of a token of this type that a key of ours has signed, of any age."""
    if len(token) > LONGEST_TOKEN:
        return None
    try:
        header = read_header(token)
        key = keys.find(header.kid)
        if key is None or header.typ != typ:
            return None
        claims = signed_claims(token, key.public, key.algorithm)
    except TokenRefused:
        return None
    return claims if claims.get("iss") == issuer and required <= claims.keys() else None
