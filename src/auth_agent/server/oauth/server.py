"""Authlib's authorization server on our database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error
from sqlalchemy import Connection

from auth_agent.protocol.dpop.proof import Proof
from auth_agent.server.context import Context
from auth_agent.server.registry.clients import Client
from auth_agent.server.tokens.signed import Issue
from auth_agent.server.web.call import NO_STORE, Answer, Call, json_answer
from auth_agent.server.web.parameters import Parameters


class OAuthRequest(OAuth2Request):  # type: ignore[misc]
    """A request with the attributes that Authlib reads; `kind` is its word in the audit.

    `transaction` and `issue` are filled in on the way.
    """

    def __init__(self, issuer: str, call: Call, parameters: Parameters, kind: str) -> None:
        # The address is the issuer's, whose scheme the settings have already judged (https, or
        # http on a loopback host): behind a proxy the connection's own scheme says nothing.
        super().__init__(call.method, issuer + call.path, headers=dict(call.headers))
        self.payload = _Payload(parameters)
        self.parameters = parameters
        self.address = call.address
        self.party = call.party
        self.kind = kind
        # What the caller says it is, where Authlib does not look: in Basic or in an assertion.
        self.claimed = parameters.get("client_id")
        self.path = call.path
        self.proof: Proof | None = None
        self.lacks_nonce = False
        self.is_waiting = False
        self.transaction: Connection
        self.issue: Issue

    @property
    def form(self) -> Mapping[str, str]:
        return self.parameters

    @property
    def args(self) -> Mapping[str, str]:
        return self.parameters


class _Payload(OAuth2Payload):  # type: ignore[misc]
    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    @property
    def data(self) -> Mapping[str, str]:
        return self._parameters

    @property
    def datalist(self) -> Mapping[str, list[str]]:
        return {name: [value] for name, value in self._parameters.items()}


class OAuthServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server, as one of ours; `assembly` puts the grants and endpoints into it."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def query_client(self, client_id: str) -> Client | None:
        return self.context.clients.find(client_id)

    def authenticate_client(
        self, request: OAuthRequest, methods: list[str], endpoint: str = "token"
    ) -> Client:
        """Returns the client that has proved itself; records each proof that fails."""
        try:
            client: Client = super().authenticate_client(request, methods, endpoint)
        except OAuth2Error:
            if request.kind != "token":  # which records every refusal, this one among them
                self.record_refusal(request)
            raise
        return client

    def record_refusal(self, request: OAuthRequest) -> None:
        client_id = request.client.id if request.client else request.claimed
        self.context.record_refusal(
            kind=request.kind, outcome="refused", client_id=client_id, address=request.address
        )

    def save_token(self, token: dict[str, Any], request: OAuthRequest) -> None:
        """Stores nothing: of a token itself nothing is kept; grants write the family's row."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Does nothing: no code of this server listens to Authlib's signals."""

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, _headers: Any) -> Answer:
        if status != 401:
            return json_answer(body, status)
        challenge = ("www-authenticate", f'Basic realm="{self.context.settings.issuer}"')
        return json_answer(body, status, (*NO_STORE, challenge))

    def handle_error_response(self, _request: OAuthRequest, error: OAuth2Error) -> Answer:
        body = {"error": error.error}
        if error.error == "unsupported_grant_type":
            # Authlib's text would repeat what was sent.
            body["error_description"] = (
                "Use authorization_code, refresh_token or client_credentials"
            )
        elif description := error.get_error_description():
            body["error_description"] = description
        return self.handle_response(error.status_code, body, None)
