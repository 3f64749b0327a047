"""A token from a request, recognised by its form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth_agent.server.security.credentials import digest
from auth_agent.server.tokens import families
from auth_agent.server.tokens.families import Family
from auth_agent.server.tokens.signed import read_access_token

if TYPE_CHECKING:
    from auth_agent.server.context import Context
    from auth_agent.server.registry.clients import Client


class Presented:
    """A token from a request, with its family; only an access token has claims."""

    def __init__(
        self, family: Family, claims: dict[str, Any] | None, now: int, *, is_spent: bool = False
    ) -> None:
        self.family = family
        self.claims = claims
        self._now = now
        self._is_spent = is_spent

    def audience(self) -> list[str]:
        """Returns the token's audience; an access token may have a narrower one than its family."""
        said = list(self.family.audience) if self.claims is None else self.claims["aud"]
        return [said] if isinstance(said, str) else said

    def check_client(self, client: Client) -> bool:
        return self.family.check_client(client)

    def is_expired(self) -> bool:
        return self.claims is None and self.family.refreshable_until() <= self._now

    def is_revoked(self) -> bool:
        return self._is_spent or not self.family.is_alive


def find_presented(context: Context, token: str) -> Presented | None:
    """Recognises a token by its form; needs no type hint (RFC 7009 section 2.1)."""
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
