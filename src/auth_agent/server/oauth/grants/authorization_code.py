"""Authlib's grants: one transaction redeems, by a conditional UPDATE, and stores what is issued."""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    RefreshTokenGrant,
)

from auth_agent.protocol.details import GOOD_FOR, BadDetails, at_audience, narrowed, read_details
from auth_agent.secret import Secret
from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import METHODS
from auth_agent.server.oauth.clients.proofs import Proving
from auth_agent.server.oauth.server import OAuthRequest, OAuthServer
from auth_agent.server.registry.clients import Client
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.sign_in import state
from auth_agent.server.sign_in.code import AuthorizationCode, find_by_code
from auth_agent.server.storage.audit import record
from auth_agent.server.tokens import families
from auth_agent.server.tokens.families import Family
from auth_agent.server.tokens.signed import Issue
from auth_agent.server.web.at_once import or_wait


class Reused(InvalidGrantError):  # type: ignore[misc]
    """A code or refresh token came a second time: a copy exists (RFC 9700 section 4.14.2)."""

    def __init__(self, family_id: str) -> None:
        super().__init__(
            "The code or refresh token was used before; all tokens that came from it are revoked"
        )
        self.family_id = family_id


class Issuing(Proving):
    """What the grants share: one transaction around redeeming and issuing."""

    request: OAuthRequest
    server: OAuthServer

    @property
    def context(self) -> Context:
        return self.server.context

    def create_token_response(self) -> Any:
        # Read before the transaction: the keyring may have to read or write itself.
        self.now = self.context.now()
        keys = self.context.keyring.current()
        self.key = keys.signer(self.now)
        self.id_token_key = keys.signer(self.now, self.request.client.id_token_alg)
        try:
            with self.context.database.begin() as connection:
                self.request.transaction = connection
                self.use_proof(connection)
                return super().create_token_response()  # type: ignore[misc]
        except Reused as reused:
            or_wait()  # a second transaction, which the event loop must not wait for
            self._end(reused.family_id)
            raise

    def _end(self, family_id: str) -> None:
        with self.context.database.begin() as connection:
            if families.revoke(connection, family_id, self.context.now()):
                self._record(connection, "reuse", "revoked", None)

    def _record(self, connection: Any, kind: str, outcome: str, agent_id: str | None) -> None:
        record(
            connection,
            at=self.context.now(),
            kind=kind,
            outcome=outcome,
            agent_id=agent_id,
            client_id=self.request.client.id,
            address=self.request.address,
        )

    def _audience(self, source: AuthorizationCode | Family) -> tuple[str, ...]:
        """Narrows what was granted if the token request asks; never widens it (RFC 8707 2.2)."""
        asked = tuple(dict.fromkeys(self.request.parameters.resources))
        if not set(asked) <= set(source.audience):
            raise OAuth2Error("The resource was not granted", error="invalid_target")
        return asked or source.audience

    def _details(self, source: AuthorizationCode | Family) -> tuple[dict[str, Any], ...]:
        """Narrows what was granted if the token request asks; never widens it (RFC 9396 6).

        An approval does not live as long as a refresh token: its acts go when their time is over.
        """
        acts: list[dict[str, Any]] = json.loads(source.granted_details or "[]")
        granted = [act for act in acts if self.now < act["approved_at"] + GOOD_FOR]
        if asked := self.request.parameters.get("authorization_details"):
            try:
                granted = narrowed(granted, read_details(asked))
            except BadDetails as error:
                raise OAuth2Error(str(error), error="invalid_authorization_details") from None
        return tuple(at_audience(granted, self._audience(source)))

    def _issue(self, source: AuthorizationCode | Family, family_id: str, **more: Any) -> Issue:
        settings = self.context.settings
        issue = Issue(
            key=self.key,
            refresh_token=Secret(new_token("rt_")),
            issuer=settings.issuer,
            client_id=source.client_id,
            family_id=family_id,
            agent=source.agent,
            model=source.model,
            audience=self._audience(source),
            auth_time=source.auth_time,
            amr=source.amr,
            acr=source.acr,
            details=self._details(source),
            jkt=self.jkt,
            now=self.now,
            id_token_lifetime=settings.id_token_lifetime,
            **more,
        )
        self.request.issue = issue
        return issue

    def _start(
        self,
        issue: Issue,
        scope: str,
        audience: tuple[str, ...],
        refresh_lifetime: int,
        granted_details: str | None = None,
    ) -> None:
        row = {
            "id": issue.family_id,
            "client_id": issue.client_id,
            "agent_id": issue.agent.id,
            "scope": scope,
            "audience": " ".join(audience),
            "model": issue.model,
            "amr": " ".join(issue.amr),
            "auth_time": issue.auth_time,
            "acr": issue.acr,
            "granted_details": granted_details,
            "dpop_jkt": self.refresh_jkt,
            "refresh_hash": digest(issue.refresh_token.reveal()),
            "refresh_issued_at": self.now,
            "refresh_expires_at": self.now + refresh_lifetime,
            "access_expires_at": self.now + issue.access_lifetime,
            "created_at": self.now,
            "expires_at": self.now + self.context.settings.family_lifetime,
        }
        connection = self.request.transaction
        families.start_family(connection, row)
        self._record(connection, "token", "issued", issue.agent.id)


class CodeGrant(Issuing, AuthorizationCodeGrant):  # type: ignore[misc]
    """The authorization code grant (RFC 6749 section 4.1, OAuth 2.1)."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        with self.context.database.read() as connection:
            found = find_by_code(connection, digest(code))
        # A code in the wrong hands is refused and stays good for its owner.
        return found if found is not None and found.client_id == client.id else None

    def authenticate_user(self, code: AuthorizationCode) -> Issue:
        connection, settings = self.request.transaction, self.context.settings
        self._details(code)  # before anything is redeemed
        self.need_key(code.dpop_jkt)
        family_id = new_token("sid_", 16)
        if not state.redeem(connection, code.request_id, self.now, family_id):
            if redeemed := state.family_of_redeemed(connection, code.request_id):
                raise Reused(redeemed)
            raise InvalidGrantError("The code has expired")
        lifetime = min(settings.access_token_lifetime, settings.family_lifetime)
        issue = self._issue(code, family_id, access_lifetime=lifetime, nonce=code.nonce)
        refresh_lifetime = settings.refresh_token_lifetime
        granted = code.granted_details
        self._start(issue, code.scope, code.audience, refresh_lifetime, granted)
        return issue

    def delete_authorization_code(self, code: AuthorizationCode) -> None:
        """Does nothing: a redeemed code's row stays, so that a replay is noticed."""


class RefreshGrant(Issuing, RefreshTokenGrant):  # type: ignore[misc]
    """The refresh token grant (RFC 6749 section 6); the token rotates at every use."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, token: str) -> Family | None:
        self.token_hash = digest(token)
        with self.context.database.read() as connection:
            family = families.find_by_refresh_token(connection, self.token_hash)
            spent = None if family else families.find_by_spent_token(connection, self.token_hash)
        for found in (family, spent):
            if found is not None and found.check_client(self.request.client):
                self.need_key(found.dpop_jkt)  # before a thief without the key ends the family
        if spent is not None and spent.check_client(self.request.client):
            or_wait()
            self._end(spent.id)
            raise Reused(spent.id)
        if family is not None and family.check_client(self.request.client):
            self.context.limits.refuse_if_spent("refreshes", family.id)
        return family

    def _validate_token_scope(self, token: Family) -> None:
        asked = self.request.payload.scope
        # Splitting on a single space makes malformed scopes fail the subset check.
        if asked and not set(asked.split(" ")) <= set(token.scope.split()):
            raise InvalidScopeError("The scope exceeds what was granted")

    def authenticate_user(self, family: Family) -> Issue:
        connection, settings = self.request.transaction, self.context.settings
        left = family.expires_at - self.now
        lifetime = min(settings.access_token_lifetime, left)
        issue = self._issue(family, family.id, access_lifetime=lifetime)
        rotated = families.rotate(
            connection,
            family.id,
            self.token_hash,
            self.now,
            new_hash=digest(issue.refresh_token.reveal()),
            refresh_until=self.now + min(settings.refresh_token_lifetime, left),
            access_until=self.now + lifetime,
            jkt=family.dpop_jkt or self.refresh_jkt,
        )
        if rotated:
            self.context.limits.count("refreshes", family.id)
            self._record(connection, "refresh", "issued", issue.agent.id)
            return issue
        if families.find_by_spent_token(connection, self.token_hash):
            raise Reused(family.id)
        raise InvalidGrantError("The refresh token has expired or was revoked")

    def revoke_old_credential(self, refresh_token: Family) -> None:
        """Does nothing: the rotation has revoked it."""
