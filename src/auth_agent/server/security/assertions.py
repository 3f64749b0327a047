"""Assertions: a JWT that proves the possession of a key (RFC 7521, RFC 7523).

`aud` names this server and nothing else: the issuer, or another address that the caller allows. An
assertion lives at most five minutes, the libraries' default, and its `jti` is single-use until it
expires.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any

import jwt
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.jws import signed_claims
from auth_agent.server.security.keys.public import Jwk, choose_key
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.tokens import used_assertion
from auth_agent.server.web.at_once import or_wait

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 300  # seconds
SKEW = 5  # seconds
LONGEST = 8_192
LONGEST_NAME = 255  # no client or agent has a longer id
# One message for a wrong signature and for an unknown agent or client, which has no key.
_NOT_SIGNED = "No registered key fits the assertion, or the assertion is malformed"
_TYPES = (None, "JWT", "client-authentication+jwt")
APPROVAL_TYPE = "agent-approval+jwt"
# Existing agents sign approvals without a type; these claims mark an approval.
_APPROVAL_TYPES = (None, "JWT", APPROVAL_TYPE)
_APPROVES = ("request_id", "origin")
_REQUIRED = ("exp", "aud", "iss", "sub", "jti")


class BadAssertion(Exception):
    """The assertion proves nothing; the message is plain ASCII, for people."""


def claimed_subject(assertion: str) -> str | None:
    """Returns the unproven subject of the assertion; None if it names none."""
    try:
        subject = _unverified(assertion)[1].get("sub")
    except BadAssertion:
        return None
    is_name = isinstance(subject, str) and len(subject) <= LONGEST_NAME and subject.isprintable()
    return subject if is_name else None


def header_of(assertion: str) -> dict[str, Any]:
    return _unverified(assertion)[0]


class Assertions:
    """Checks assertions for this issuer, and records used ones in the database."""

    def __init__(self, issuer: str, database: Database, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._database = database
        self._clock = clock

    def check(
        self, assertion: str, keys: list[Jwk], subject: str, also_for: Collection[str] = ()
    ) -> dict[str, Any]:
        """Returns the claims of a valid assertion of this subject and marks it as used.

        `also_for` lists further audiences beside the issuer. Raises `BadAssertion` if the
        assertion is invalid, or is an approval.
        """
        claims = _signed_claims(assertion, keys, _TYPES)
        if any(name in claims for name in _APPROVES):
            raise BadAssertion(
                "An assertion for approving a sign-in cannot be used as a client assertion"
            )
        return self._checked(claims, subject, also_for)

    def check_approval(self, assertion: str, keys: list[Jwk], subject: str) -> dict[str, Any]:
        """Returns the claims of a valid approval and marks it as used.

        Raises `BadAssertion` if it is invalid, or is a client assertion: an approval names its
        request and its website.
        """
        claims = _signed_claims(assertion, keys, _APPROVAL_TYPES)
        if not isinstance(claims.get("request_id"), str):
            raise BadAssertion("request_id in the assertion has to be that of the request")
        return self._checked(claims, subject, ())

    def _checked(
        self, claims: dict[str, Any], subject: str, also_for: Collection[str]
    ) -> dict[str, Any]:
        _check_audience(claims["aud"], (self._issuer, *also_for))
        _check_claims(claims, subject, self._clock())
        self._use_once(subject, claims)
        return claims

    def _use_once(self, subject: str, claims: dict[str, Any]) -> None:
        named = f"{subject}\0{claims['jti']}".encode("utf-8", "replace")
        or_wait()  # the call goes on to write, and must not wait for that on the event loop
        row = {"hash": hashlib.sha256(named).hexdigest(), "expires_at": int(claims["exp"]) + 1}
        try:
            with self._database.begin() as connection:
                connection.execute(insert(used_assertion), row)
        except IntegrityError:
            raise BadAssertion("The assertion was used before") from None


def _signed_claims(
    assertion: str, keys: list[Jwk], types: tuple[str | None, ...]
) -> dict[str, Any]:
    header, _ = _unverified(assertion)
    if "crit" in header or header.get("typ") not in types:
        raise BadAssertion("The assertion's header is not acceptable")
    chosen = choose_key(keys, header.get("kid"), header.get("alg"))
    if chosen is None:
        raise BadAssertion(_NOT_SIGNED)
    try:
        claims = signed_claims(assertion, *chosen)
    except TokenRefused:
        raise BadAssertion(_NOT_SIGNED) from None
    for name in _REQUIRED:
        if claims.get(name) is None:
            raise BadAssertion(f"The assertion has no {name}")
    return claims


def _unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(assertion) > LONGEST:
        raise BadAssertion("The assertion is too long")
    try:
        whole = jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadAssertion("The assertion is not a JWT") from None
    return whole["header"], whole["payload"]


def _check_audience(audience: object, known: Collection[str]) -> None:
    """Refuses an audience that is not ours alone: another server could replay the assertion."""
    named = audience if isinstance(audience, list) else [audience]
    if not named or not all(isinstance(one, str) and one in known for one in named):
        raise BadAssertion("aud has to be the issuer of this server, and nothing else")


def _check_claims(claims: dict[str, Any], subject: str, now: float) -> None:
    if claims["iss"] != subject or claims["sub"] != subject:
        raise BadAssertion(
            "iss and sub have to be the id of the agent or client that authenticates"
        )
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadAssertion(f"{name} is not a number")
    if max(claims.get("iat", 0), claims.get("nbf", 0)) > now + SKEW:
        raise BadAssertion("The assertion is from the future")
    # Five minutes count from `iat` if the sender's clock is a little ahead of ours.
    if not now < claims["exp"] <= max(now, claims.get("iat", 0)) + LIFETIME:
        raise BadAssertion("The assertion has expired or lives longer than five minutes")
    if not isinstance(claims["jti"], str) or not 1 <= len(claims["jti"]) <= 256:
        raise BadAssertion("jti has to be a string of at most 256 characters")
