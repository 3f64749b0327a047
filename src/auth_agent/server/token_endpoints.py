"""Introspection (RFC 7662) and revocation (RFC 7009), as Authlib's endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from . import families
from .agents import claims_about
from .audit import record
from .client_authentication import METHODS
from .credentials import digest
from .families import Family
from .tokens import read_access_token

if TYPE_CHECKING:
    from .clients import Client
    from .context import Context
    from .oauth import OAuthRequest


class Presented:
    """A token that somebody shows, with its family; only an access token has claims."""

    def __init__(
        self, family: Family, claims: dict[str, Any] | None, now: int, *, is_spent: bool = False
    ) -> None:
        self.family = family
        self.claims = claims
        self._now = now
        self._is_spent = is_spent

    def audience(self) -> list[str]:
        """An access token may be for less than its family."""
        said = list(self.family.audience) if self.claims is None else self.claims["aud"]
        return [said] if isinstance(said, str) else said

    def check_client(self, client: Client) -> bool:
        return self.family.check_client(client)

    def is_expired(self) -> bool:
        return self.claims is None and self.family.refreshable_until() <= self._now

    def is_revoked(self) -> bool:
        return self._is_spent or not self.family.is_alive


def find_presented(context: Context, token: str) -> Presented | None:
    """Recognises a token by its form; a hint of its type is not needed (RFC 7009 section 2.1)."""
    now = context.now()
    if token.startswith("rt_"):
        with context.database.read() as connection:
            family = families.find_by_refresh_token(connection, digest(token))
            spent = None if family else families.find_by_spent_token(connection, digest(token))
        found = family or spent
        return None if found is None else Presented(found, None, now, is_spent=family is None)
    claims = read_access_token(token, context.keyring.current(), context.settings.issuer, now)
    if claims is None:
        return None
    with context.database.read() as connection:
        family = families.find_family(connection, str(claims["sid"]))
    return None if family is None else Presented(family, claims, now)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """Tells a website about its own tokens and about those meant for its resources."""

    CLIENT_AUTH_METHODS = METHODS[:3]

    def check_params(self, request: OAuthRequest, client: Client) -> None:  # noqa: ARG002
        _need_token(request)

    def query_token(self, token: str, _hint: str | None) -> Presented | None:
        return find_presented(self.server.context, token)

    def check_permission(self, token: Presented, client: Client, _request: Any) -> bool:
        return token.check_client(client) or bool(
            token.claims and set(token.audience()) & set(client.resources)
        )

    def introspect_token(self, token: Presented) -> dict[str, Any]:
        family, claims = token.family, token.claims
        scope = family.scope if claims is None else claims["scope"]
        audience = token.audience()
        return {
            "active": True,
            "scope": scope,
            "client_id": family.client_id,
            "username": family.agent.id,
            "token_type": "refresh_token" if claims is None else "Bearer",
            "exp": family.refreshable_until() if claims is None else claims["exp"],
            "iat": family.refresh_issued_at if claims is None else claims["iat"],
            "sub": family.agent.id,
            "aud": audience[0] if len(audience) == 1 else audience,
            "iss": self.server.context.settings.issuer,
            "sid": family.id,
            "auth_time": family.auth_time,
            **({} if claims is None else {"jti": claims.get("jti")}),
            **claims_about(family.agent, family.model, scope.split()),
        }


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Revoking either token of a family ends the family."""

    CLIENT_AUTH_METHODS = METHODS

    def check_params(self, request: OAuthRequest, client: Client) -> None:  # noqa: ARG002
        _need_token(request)

    def query_token(self, token: str, _hint: str | None) -> Presented | None:
        return find_presented(self.server.context, token)

    def revoke_token(self, token: Presented, request: OAuthRequest) -> None:
        context: Context = self.server.context
        with context.database.begin() as connection:
            if families.revoke(connection, token.family.id, context.now()):
                record(
                    connection,
                    at=context.now(),
                    kind="revocation",
                    outcome="revoked",
                    agent_id=token.family.agent.id,
                    client_id=token.family.client_id,
                    address=request.address,
                )


def _need_token(request: OAuthRequest) -> None:
    if "token" not in request.form:
        raise InvalidRequestError("Missing required parameter: token")
