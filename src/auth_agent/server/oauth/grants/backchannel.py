"""The grant of backchannel authentication (OpenID CIBA Core 1.0, sections 10.1 and 11)."""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from sqlalchemy import Connection, bindparam, select, update

from auth_agent.protocol.details import GOOD_FOR, OWNER, at_audience, enriched
from auth_agent.secret import Secret
from auth_agent.server.approval import state
from auth_agent.server.approval.questions import status_of
from auth_agent.server.oauth.clients.authentication import METHODS
from auth_agent.server.oauth.grants.authorization_code import Issuing
from auth_agent.server.registry.claims import find_agent
from auth_agent.server.registry.client import CIBA
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.sign_in.owner import methods
from auth_agent.server.storage.tables.approvals import backchannel_request, owner_question
from auth_agent.server.tokens.families import hold_agent
from auth_agent.server.tokens.signed import Issue
from auth_agent.server.web.at_once import or_wait

SLOWER = 5  # seconds added to the interval by each poll that comes too early
_FIND = (
    select(owner_question, backchannel_request.c.audience)
    .join(backchannel_request, backchannel_request.c.id == owner_question.c.request_id)
    .where(
        owner_question.c.request_id == bindparam("request"),
        owner_question.c.kind == state.CIBA,
        owner_question.c.client_id == bindparam("client"),
    )
)
_C = backchannel_request.c
_POLL = (
    update(backchannel_request)
    .where(
        _C.id == bindparam("request"),
        (_C.polled_at.is_(None)) | (_C.polled_at + _C.interval <= bindparam("now")),
    )
    .values(polled_at=bindparam("now"))
)
_SLOW_DOWN = (
    update(backchannel_request)
    .where(_C.id == bindparam("request"))
    .values(polled_at=bindparam("now"), interval=_C.interval + SLOWER)
)
_ERRORS = {
    "denied": ("access_denied", "The owner did not approve this request"),
    "withdrawn": ("access_denied", "The request was withdrawn"),
    "expired": ("expired_token", "The owner did not answer in time"),
    "taken": ("invalid_grant", "The request was used before"),
}


class BackchannelGrant(Issuing, ClientCredentialsGrant):  # type: ignore[misc]
    """Gives an agent the token that its owner has approved, once; no refresh token."""

    GRANT_TYPE = CIBA
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[:3]

    def validate_requested_scope(self) -> None:
        """Raises the error of a request that is not approved (or not yet)."""
        or_wait()  # each poll writes, and the event loop must not
        auth_req_id = self.request.parameters.get("auth_req_id")
        if auth_req_id is None:
            raise InvalidRequestError("Missing required parameter: auth_req_id")
        values = {"request": digest(auth_req_id), "client": self.request.client.id}
        with self.context.database.read() as connection:
            found: Any = connection.execute(_FIND, values).one_or_none()
        if found is None:
            raise _error("invalid_grant", "No such request of this client")
        self.question, now = found, self.context.now()
        status = status_of(found, now)
        if status == "waiting":
            self.request.is_waiting = True  # a poll is no refusal
            raise self._pending(now)
        if status != "approved":
            raise _error(*_ERRORS[status])

    def generate_token(self, **_more: Any) -> dict[str, Any]:
        connection, question = self.request.transaction, self.question
        if not hold_agent(connection, question.agent_id):
            raise InvalidClientError()
        if not state.take(connection, question, self.now):
            is_late = self.now - question.answered_at >= state.TAKE_WITHIN
            raise _error(*_ERRORS["expired" if is_late else "taken"])
        issue = self._issue_of(connection, question)
        self.request.issue = issue
        granted = json.dumps(list(issue.details)) if issue.details else None
        # The agent never gets the refresh token, which the family's row needs.
        self._start(issue, question.scope, issue.audience, issue.access_lifetime, granted)
        token = self.server.generate_token(
            client=self.request.client,
            grant_type=self.GRANT_TYPE,
            user=issue,
            scope=question.scope,
            include_refresh_token=False,
        )
        return {name: value for name, value in token.items() if name != "refresh_token"}

    def _issue_of(self, connection: Connection, question: Any) -> Issue:
        settings, audience = self.context.settings, (question.audience,)
        act = [] if question.act is None else json.loads(question.act)
        details = enriched(act, question.id, question.answered_at)
        lifetime = settings.access_token_lifetime
        agent, _ = find_agent(connection, question.agent_id)
        return Issue(
            key=self.key,
            refresh_token=Secret(new_token("rt_")),
            issuer=settings.issuer,
            client_id=question.client_id,
            family_id=new_token("sid_", 16),
            agent=agent,
            model=question.model,
            audience=audience,
            auth_time=question.answered_at,
            amr=tuple(methods(question.amr, question.answered_how).split()),
            acr=OWNER,
            details=tuple(at_audience(details, audience)),
            now=self.now,
            access_lifetime=min(lifetime, GOOD_FOR) if act else lifetime,
            id_token_lifetime=settings.id_token_lifetime,
            jkt=self.jkt,
        )

    def _pending(self, now: int) -> OAuth2Error:
        """Notes a poll; one that comes too early makes all further intervals longer."""
        values = {"request": self.question.request_id, "now": now}
        with self.context.database.begin() as connection:
            if connection.execute(_POLL, values).rowcount == 1:
                return _error("authorization_pending", "The owner has not answered yet")
            connection.execute(_SLOW_DOWN, values)
        return _error("slow_down", f"Wait {SLOWER} seconds more between two requests")


def _error(error: str, description: str) -> OAuth2Error:
    return OAuth2Error(description, error=error)
