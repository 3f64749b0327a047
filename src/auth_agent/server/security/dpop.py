"""Proofs of possession at this server (RFC 9449): its own addresses, its nonces, and replay.

A nonce is a MAC over a minute, so that all workers know all of them and nothing is stored. A proof
counts once; it is stored in the transaction that acts on it, so that no refused request uses it up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from auth_agent.errors import ProofRefused
from auth_agent.protocol.dpop.proof import Proof, check_proof
from auth_agent.protocol.jose.base64url import encode
from auth_agent.secret import Secret
from auth_agent.server.security.credentials import derive_key
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage.statements import Read, Write
from auth_agent.server.storage.tables.tokens import used_assertion
from auth_agent.server.web.call import Headers

NONCE_SECONDS = 60
_COLUMNS = ["hash", "expires_at"]
_USE = {
    "sqlite": Write(sqlite.insert(used_assertion).on_conflict_do_nothing(), _COLUMNS),
    "postgresql": Write(postgresql.insert(used_assertion).on_conflict_do_nothing(), _COLUMNS),
}
_USED = Read(select(used_assertion.c.hash).where(used_assertion.c.hash == bindparam("hash")))


class BadProof(Exception):
    """The proof is refused; `error` is the code of RFC 9449, the message plain ASCII."""

    def __init__(self, description: str, error: str = "invalid_dpop_proof") -> None:
        super().__init__(description)
        self.description = description
        self.error = error


class Proofs:
    """Checks proofs that were made for this server."""

    def __init__(
        self, settings: ServerSettings, secrets: tuple[Secret, ...], clock: Callable[[], float]
    ) -> None:
        self._issuer, self._root = settings.issuer, settings.path
        self._clock = clock
        keys = [derive_key(secret, "dpop nonce") for secret in secrets]
        self._keys = keys if settings.dpop_nonce else []

    def check(
        self, text: str | None, method: str, path: str, access_token: str | None = None
    ) -> Proof:
        """Returns the proof of a request to this path; raises `BadProof`."""
        try:
            proof = check_proof(
                text,
                method=method,
                url=self._own_url(path),
                now=self._clock(),
                access_token=access_token,
            )
        except ProofRefused as refused:
            raise BadProof(refused.description) from None
        if self._keys and not self._is_nonce(proof.nonce):
            raise BadProof(
                "Repeat the request with a proof that has the nonce of DPoP-Nonce",
                "use_dpop_nonce",
            )
        return proof

    def nonce_header(self) -> Headers:
        """Returns the header with the present nonce; none unless the settings demand nonces."""
        if not self._keys:
            return ()
        return (("dpop-nonce", _nonce(self._keys[0], self._minute())),)

    def refuse_used(self, connection: Connection, proof: Proof) -> None:
        """Raises `BadProof` if the proof counted before; remembers nothing."""
        if _USED.one(connection, {"hash": _stored(proof)}) is not None:
            raise _used()

    def use(self, connection: Connection, proof: Proof) -> None:
        """Marks the proof as used in this transaction; raises `BadProof` if it was."""
        row: dict[str, Any] = {"hash": _stored(proof), "expires_at": int(proof.expires_at()) + 1}
        if _USE[connection.dialect.name].run(connection, row) != 1:
            raise _used()

    def _own_url(self, path: str) -> str:
        """Returns the URL at which this server publishes a path, with or without the prefix."""
        inner = path[len(self._root) :] if path.startswith(f"{self._root}/") else path
        return self._issuer + inner

    def _is_nonce(self, nonce: str | None) -> bool:
        minute = self._minute()
        # Another worker's clock may be a little ahead: its nonce is of the next minute.
        minutes = (minute, minute - 1, minute + 1)
        known = (_nonce(key, one) for key in self._keys for one in minutes)
        given = (nonce or "").encode("utf-8", "replace")
        return any(hmac.compare_digest(one.encode(), given) for one in known)

    def _minute(self) -> int:
        return int(self._clock() // NONCE_SECONDS)


def _nonce(key: bytes, minute: int) -> str:
    return encode(hmac.digest(key, str(minute).encode(), "sha256")[:18])


def _stored(proof: Proof) -> str:
    return hashlib.sha256(b"dpop\0" + proof.mark()).hexdigest()


def _used() -> BadProof:
    return BadProof("The proof was used before; make one for each request")
