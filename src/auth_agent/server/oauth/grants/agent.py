"""The grant by which an agent gets tokens for the APIs that it calls itself."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from auth_agent.secret import Secret
from auth_agent.server.approval.asking import may_notify, tell_of_first_call
from auth_agent.server.approval.need import ALWAYS, FIRST, NOTIFY, is_approved
from auth_agent.server.approval.websites import api_of, find_known
from auth_agent.server.oauth.clients.authentication import METHODS
from auth_agent.server.oauth.grants.authorization_code import Issuing
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry.agents import LONGEST_MODEL
from auth_agent.server.registry.claims import find_agent
from auth_agent.server.registry.resources import find_resources
from auth_agent.server.security.credentials import new_token
from auth_agent.server.tokens.families import hold_agent
from auth_agent.server.tokens.signed import Issue, sign_access_token
from auth_agent.server.web.urls import host_of, url_problem

_OF_SIGN_INS = {"openid", "offline_access"}


class AgentGrant(Issuing, ClientCredentialsGrant):  # type: ignore[misc]
    """Gives an agent a token for an API that it calls (RFC 6749 section 4.4, RFC 8707).

    Only an agent may name any resource; a website has no such grant.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[:3]

    def create_token_response(self) -> Any:
        self.mails: list[Mail] = []
        answer = super().create_token_response()
        for mail in self.mails:  # after the transaction
            self.context.outbox.post(mail)
        return answer

    def validate_requested_scope(self) -> None:
        parameters = self.request.parameters
        if "authorization_details" in parameters:
            text = "The owner has to approve this: send the request to POST /bc-authorize"
            raise OAuth2Error(text, error="invalid_authorization_details")
        if not parameters.resources:
            raise OAuth2Error("Name the API in the parameter resource", error="invalid_target")
        if any(url_problem(resource) for resource in parameters.resources):
            raise OAuth2Error("The resource is not an https URL", error="invalid_target")
        with self.context.database.read() as connection:
            self.agent, self.limits = find_agent(connection, self.request.client.agent_id)
            self.known = find_resources(connection, parameters.resources)
        if self.limits.second_factor:
            text = (
                "This agent needs a code from its owner (second factor), which this grant cannot "
                "ask for"
            )
            raise OAuth2Error(text, error="unauthorized_client")
        of_apis = (word for api in self.known.values() for word in api.scopes)
        known = {*self.context.settings.scopes, *of_apis}
        self.scope = self._narrowed(known)
        self.model = parameters.get("model") or self.limits.model
        self._need_approved(tuple(parameters.resources))
        is_line = self.model.isprintable() and len(self.model) <= LONGEST_MODEL
        if ("model" in parameters and not self.model.strip()) or not is_line:
            raise InvalidRequestError("model has to be the name of a model, on one line")

    def _need_approved(self, resources: tuple[str, ...]) -> None:
        """Refuses an API that the owner has to approve first; a backchannel request asks."""
        setting = self.limits.approval or self.context.settings.approval
        if setting not in (FIRST, ALWAYS):
            return
        of_agent = (self.agent.id, self.request.client.id)
        with self.context.database.read() as connection:
            known = [find_known(connection, *of_agent, api_of(url)) for url in resources]
        if not all(is_approved(setting, each, self.scope) for each in known):
            text = "This agent's owner has to approve this: send the request to POST /bc-authorize"
            raise OAuth2Error(text, error="unauthorized_client")

    def _narrowed(self, known: set[str]) -> str:
        """Leaves out what this grant cannot give (RFC 6749 3.3); the answer says what is left.

        `openid` and `offline_access` belong to sign-ins; a standard client asks for all that the
        metadata lists.
        """
        asked = dict.fromkeys((self.request.payload.scope or "agent").split(" "))
        allowed = known if self.limits.scopes is None else known & self.limits.scopes
        granted = [word for word in asked if word in allowed - _OF_SIGN_INS]
        if not granted:
            raise InvalidScopeError("The agent is allowed none of these scopes")
        return " ".join(granted)

    def generate_token(self, **_more: Any) -> dict[str, Any]:
        settings, resources = self.context.settings, self.request.parameters.resources
        if not hold_agent(self.request.transaction, self.agent.id):
            raise InvalidClientError()
        audience = tuple(dict.fromkeys(resources))
        self.context.limits.take("agent_successes", self.agent.id)
        issue = Issue(
            key=self.key,
            refresh_token=Secret(new_token("rt_")),
            issuer=settings.issuer,
            client_id=self.request.client.id,
            family_id=new_token("sid_", 16),
            agent=self.agent,
            model=self.model,
            audience=audience,
            auth_time=self.now,
            amr=("swk",) if self.request.auth_method == "private_key_jwt" else ("pwd",),
            now=self.now,
            access_lifetime=settings.access_token_lifetime,
            id_token_lifetime=settings.id_token_lifetime,
            jkt=self.jkt,
        )
        self._tell_owner(audience)
        # The agent never gets the refresh token. Revocation needs the family, which ends with its
        # one access token.
        self._start(issue, self.scope, audience, issue.access_lifetime)
        return {
            "access_token": sign_access_token(self.key, issue, self.scope),
            "token_type": issue.token_type,
            "expires_in": issue.access_lifetime,
            "scope": self.scope,
        }

    def _tell_owner(self, audience: tuple[str, ...]) -> None:
        """Notes each API that the agent has not called before, and mails its owner about it."""
        agent, context = self.agent, self.context
        setting = self.limits.approval or context.settings.approval
        can_mail = may_notify(context, agent.email, is_verified=agent.email_verified)
        if setting != NOTIFY or not can_mail:
            return
        connection, client_id = self.request.transaction, self.request.client.id
        for url in audience:
            is_own = url == context.settings.issuer  # the server that the agent is registered at
            if is_own or find_known(connection, agent.id, client_id, api_of(url)) is not None:
                continue
            name = self.known[url].name if url in self.known else host_of(url)
            mail = tell_of_first_call(
                context, connection, agent, url=url, name=name, model=self.model
            )
            if mail is not None:
                self.mails.append(mail)
