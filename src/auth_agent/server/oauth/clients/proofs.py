"""Proofs at the token endpoint (RFC 9449 5): checked before anything is looked at or used."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidGrantError, OAuth2Error

from auth_agent.protocol.dpop.proof import Proof
from auth_agent.server.oauth.server import OAuthRequest, OAuthServer
from auth_agent.server.registry.clients import Client
from auth_agent.server.security.dpop import BadProof


class Proving:
    """What the grants share: the key that the client has proved, if it has proved one."""

    request: OAuthRequest
    server: OAuthServer

    def authenticate_token_endpoint_client(self) -> Client:
        """Returns the client; checks its proof before the grant looks at its code or token.

        A replayed proof is refused here, too, so that the replay of a whole request is no reuse of
        its refresh token.
        """
        client: Client = super().authenticate_token_endpoint_client()  # type: ignore[misc]
        text = self.request.headers.get("dpop")
        if text is None and not client.dpop_bound:
            return client
        context = self.server.context
        try:
            proof = context.proofs.check(text, "POST", self.request.path)
            with context.database.read() as connection:
                context.proofs.refuse_used(connection, proof)
        except BadProof as bad:
            self.request.lacks_nonce = bad.error == "use_dpop_nonce"
            raise refused(bad) from None
        self.request.proof = proof
        return client

    def use_proof(self, connection: Any) -> None:
        """Marks the proof as used, in the transaction that issues tokens."""
        if self.request.proof is not None:
            try:
                self.server.context.proofs.use(connection, self.request.proof)
            except BadProof as bad:
                raise refused(bad) from None

    @property
    def jkt(self) -> str | None:
        """Returns the thumbprint of the key that the access token is bound to."""
        proof: Proof | None = self.request.proof
        return None if proof is None else proof.jkt

    @property
    def refresh_jkt(self) -> str | None:
        """Returns the key that the refresh token is bound to.

        Other clients authenticate at each refresh, and may bring another key (section 5).
        """
        client: Client = self.request.client
        return self.jkt if client.is_public or client.agent_id is not None else None

    def need_key(self, jkt: str | None) -> None:
        """Raises `invalid_grant` unless the key that a code or token is bound to was proved."""
        if jkt is not None and jkt != self.jkt:
            raise InvalidGrantError(
                "The code or token is bound to a key; send a proof of this key (DPoP)"
            )


def refused(bad: BadProof) -> Exception:
    error: Exception = OAuth2Error(bad.description, error=bad.error)
    return error
