"""The fake server's callers: the website proves itself by secret or key, a client by a proof."""

from __future__ import annotations

import base64
from typing import Any, Protocol
from urllib.parse import unquote_plus

import jwt

from auth_agent.errors import ProofRefused
from auth_agent.flow.exchange import HttpRequest
from auth_agent.protocol.dpop.proof import check_proof


class Server(Protocol):
    """What a fake server knows of its one website; tests change it."""

    issuer: str
    client_id: str
    client_secret: str
    client_key: Any
    metadata: dict[str, Any]

    def clock(self) -> float:
        """Returns seconds since 1970."""


class Callers:
    """Checks who calls; strict about reuse of assertions and proofs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._assertions: set[str] = set()
        self._proofs: set[bytes] = set()

    def knows(self, request: HttpRequest, form: dict[str, str]) -> bool:
        """Returns True if this is the website, proved as it is registered."""
        server = self._server
        website = (server.client_id, server.client_secret)
        scheme, _, credentials = dict(request.headers).get("Authorization", "").partition(" ")
        if scheme == "Basic":
            client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
            return (unquote_plus(client_id), unquote_plus(secret)) == website
        if "client_assertion" in form:
            return self._believes(form["client_assertion"])
        if "client_secret" in form:
            return (form["client_id"], form["client_secret"]) == website
        methods = server.metadata.get("token_endpoint_auth_methods_supported", ())
        return "none" in methods and form.get("client_id") == server.client_id

    def proved_key(self, request: HttpRequest, url: str, now: float) -> str | None:
        """Returns the key that a token is bound to; raises `ProofRefused` (RFC 9449 5)."""
        named = {name.lower(): value for name, value in request.headers}
        if "dpop" not in named:
            return None
        proof = check_proof(named["dpop"], method="POST", url=url, now=now)
        if proof.mark() in self._proofs:
            raise ProofRefused("The proof was used before.", code="proof_used")
        self._proofs.add(proof.mark())
        return proof.jkt

    def _believes(self, assertion: str) -> bool:
        """Checks an assertion (RFC 7523 3); strict about audience, lifetime and reuse."""
        server = self._server
        alg = jwt.get_unverified_header(assertion)["alg"]
        claims = jwt.decode(
            assertion,
            server.client_key,
            [alg],
            audience=server.issuer,
            issuer=server.client_id,
            options={"verify_exp": False, "verify_iat": False},
        )
        fresh = claims["jti"] not in self._assertions and 0 < claims["exp"] - server.clock() <= 60
        self._assertions.add(claims["jti"])
        return fresh and claims["sub"] == server.client_id
