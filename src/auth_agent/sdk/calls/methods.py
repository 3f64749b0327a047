"""The methods of the SDK as flows, once for threads and tasks.

The codes of `AuthError`: `state_mismatch`, `pkce_missing`, `token_exchange_failed`,
`token_expired`, `forbidden`, `no_refresh_token`, `refresh_failed`, `revoke_failed`,
`introspection_failed`, `registration_failed`, `agent_auth_failed`, `request_failed`,
`rate_limited`, `timeout`, those of `auth_agent.sdk.calls.owner_calls`; of a server that is away or
strange: those of `auth_agent.sdk.sign_in.website`, `answer_malformed`, `token_type_unsupported`.
If the server is away every method raises `ServerUnavailable`: whether it would have refused is then
unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth_agent.errors import AuthError
from auth_agent.protocol.pkce import challenge_of
from auth_agent.sdk.calls import agent_api, oauth
from auth_agent.sdk.calls.oauth import DEFAULT_SCOPE
from auth_agent.sdk.calls.owner_calls import OwnerCalls
from auth_agent.sdk.exchange.answers import read_object
from auth_agent.sdk.flow.effects import Flow, draw, now, wait
from auth_agent.sdk.results import (
    AgentAuthResponse,
    AgentProfile,
    AgentRegistrationResponse,
    ChallengeResponse,
    UserInfo,
    VerifyStatus,
    read,
)
from auth_agent.url import normal_origin


class Calls(OwnerCalls):
    """The flows of one agent."""

    def register_agent(
        self,
        *,
        agent_id: str,
        agent_secret: str,
        model_name: str,
        owner_name: str,
        owner_email: str,
        registration_token: str | None = None,
    ) -> Flow[AgentRegistrationResponse]:
        """Registers an agent; its e-mail counts once its owner has proved it.

        Some servers need a `registration_token`. On others only an administrator adds agents.
        Raises `registration_failed`.
        """
        content = {
            "agent_id": agent_id,
            "agent_secret": agent_secret,
            "model_name": model_name,
            "owner_name": owner_name,
            "owner_email": owner_email,
        }
        response = yield from self._once(
            agent_api.register_request(self._options, content, registration_token)
        )
        document = read_object(response, "registration", failure="registration_failed")
        return read(AgentRegistrationResponse, {"agent_id": agent_id, **document})

    def authenticate_agent(
        self,
        *,
        redirect_uri: str,
        client_id: str | None = None,
        state: str | None = None,
        scope: str = DEFAULT_SCOPE,
        code_challenge: str | None = None,
        code_challenge_method: str = "S256",
        agent_id: str | None = None,
        agent_secret: str | None = None,
        model_name: str | None = None,
    ) -> Flow[AgentAuthResponse]:
        """Opens a sign-in request, and approves nothing; the first browser at its URL waits there.

        Arguments default to the SDK's options, `client_id` to the agent's own id. Without
        `code_challenge` it uses PKCE of its own. Raises `agent_auth_failed`.
        """
        options = self._options
        verifier, jkt = None if code_challenge is not None else (yield from draw()), None
        if verifier is not None and client_id in (None, options.agent_id):
            jkt = yield from self._jkt()  # this SDK will redeem the code
        if verifier is not None:
            code_challenge, code_challenge_method = challenge_of(verifier), "S256"
            state = oauth.state_of(verifier) if state is None else state
        own = options.agent_secret.reveal() if options.agent_secret else None
        content = {
            "agent_id": agent_id or options.agent_id,
            "agent_secret": agent_secret or own,
            "model_name": model_name or options.model,
            "client_id": client_id or agent_id or options.agent_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": scope,
            "code_challenge": code_challenge,
            "code_challenge_method": code_challenge_method,
            "dpop_jkt": jkt,
        }
        given = {name: value for name, value in content.items() if value is not None}
        response = yield from self._once(agent_api.agent_auth_request(options, given))
        document = read_object(response, "open request", failure="agent_auth_failed")
        if verifier is not None and state is not None:
            self._begun.add(state, verifier)
        return read(AgentAuthResponse, {**document, "state": state, "code_verifier": verifier})

    def get_agent_profile(self, access_token: str | None) -> Flow[AgentProfile]:
        """Returns the agent's registration. Raises `token_expired`, `forbidden`."""
        request = agent_api.profile_request(self._options, access_token)
        return read(AgentProfile, (yield from self._protected(request, "profile")))

    def update_agent_profile(
        self,
        access_token: str | None,
        *,
        owner_name: str | None = None,
        model_name: str | None = None,
    ) -> Flow[AgentProfile]:
        """Changes the given fields; returns the profile. Raises `token_expired`, `forbidden`."""
        changes = {"owner_name": owner_name, "model_name": model_name}
        request = agent_api.update_profile_request(self._options, access_token, changes)
        return read(AgentProfile, (yield from self._protected(request, "profile")))

    def get_user_info(self, access_token: str | None) -> Flow[UserInfo]:
        """Returns the userinfo of OpenID Connect. Raises `token_expired`, `forbidden`."""
        request = agent_api.user_info_request(self._options, access_token)
        return read(UserInfo, (yield from self._protected(request, "userinfo")))

    def request_challenge(self, access_token: str | None) -> Flow[ChallengeResponse]:
        """Returns a challenge; sending it back proves that the agent behind the token is active."""
        request = agent_api.challenge_request(self._options, access_token)
        return read(
            ChallengeResponse, (yield from self._protected(request, "challenge", again=False))
        )

    def confirm_verification(
        self,
        access_token: str | None,
        challenge: ChallengeResponse | Mapping[str, Any],
        *,
        website: str | None = None,
    ) -> Flow[VerifyStatus]:
        """Sends a challenge back. Raises `request_failed` if it is expired, used or not ours.

        `website` is the URL of the website that the agent means: the server refuses the
        confirmation if another one has asked for it.
        """
        if isinstance(challenge, ChallengeResponse):
            challenge = challenge.to_dict()
        origin = None if website is None else normal_origin(website)
        request = agent_api.confirm_request(self._options, access_token, challenge, origin)
        return read(
            VerifyStatus, (yield from self._protected(request, "verification", again=False))
        )

    def get_verify_status(
        self, access_token: str | None, verify_ctx_id: str | None = None
    ) -> Flow[VerifyStatus]:
        """Returns the agent's latest verification, or that of one context."""
        request = agent_api.status_request(self._options, access_token, verify_ctx_id)
        return read(VerifyStatus, (yield from self._protected(request, "status")))

    def poll_and_authenticate(
        self,
        verify_ctx_id: str,
        *,
        timeout: float = 30.0,
        interval: float = 2.0,
        access_token: str | None = None,
        website: str | None = None,
    ) -> Flow[bool]:
        """Waits for the challenge of a website's context and confirms it; False once time is up.

        `website` is the URL of the website that gave you the context: raises `request_failed`
        (409) if another one has opened it.

        Both times are in seconds. Without `access_token` the SDK's own tokens are used, and
        refreshed if they have expired.
        """
        ends_at = (yield from now()) + timeout
        while True:
            token = access_token or (yield from self._current_token())
            status = yield from self.get_verify_status(token, verify_ctx_id)
            if status.verified:
                return True
            if status.pending and (yield from self._confirm(token, status.pending, website)):
                return True
            if (yield from now()) + interval > ends_at:
                return False
            yield from wait(interval)

    def _confirm(self, token: str | None, challenge: Any, website: str | None) -> Flow[bool]:
        """Returns False if the challenge is used or expired; the next status says which."""
        try:
            sent = self.confirm_verification(token, challenge, website=website)
            return (yield from sent).verified
        except AuthError as error:
            if error.code != "request_failed" or error.status_code == 409:
                raise
            return False
