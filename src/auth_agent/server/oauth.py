"""Authlib's authorization server on our database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error
from sqlalchemy import Connection

from .agent_grant import AgentGrant
from .call import NO_STORE, Answer, Call, json_answer
from .client_authentication import METHODS, ClientProof
from .clients import Client, find_client
from .extensions import IdTokenExtension, S256Challenge, check_challenge
from .grants import CodeGrant, RefreshGrant
from .parameters import Parameters
from .token_endpoints import Introspection, Revocation
from .tokens import Issue, sign_access_token

if TYPE_CHECKING:
    from .context import Context

__all__ = ["GRANT_TYPES", "METHODS", "OAuthRequest", "OAuthServer"]


MOST_CLIENTS = 1_000
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


class OAuthRequest(OAuth2Request):  # type: ignore[misc]
    """A request in Authlib's words; `transaction` and `issue` are filled in on the way."""

    def __init__(self, issuer: str, call: Call, parameters: Parameters) -> None:
        # The address is the issuer's, whose scheme the settings have already judged (https, or
        # http on a loopback host): behind a proxy the connection's own scheme says nothing.
        super().__init__(call.method, issuer + call.path, headers=dict(call.headers))
        self.payload = _Payload(parameters)
        self.parameters = parameters
        self.address = call.address
        self.party = call.party
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
    """The grants and endpoints of this server; `context` is set right after birth."""

    context: Context

    def __init__(self) -> None:
        super().__init__()
        self._clients: dict[str, Client | None] = {}
        self._clients_version: int | None = None
        ClientProof(self).register()
        self.register_grant(CodeGrant, [S256Challenge(required=True), IdTokenExtension()])
        self.register_grant(AgentGrant)
        self.register_grant(RefreshGrant, [IdTokenExtension()])
        self.register_token_generator("default", _bearer_token)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)

    def query_client(self, client_id: str) -> Client | None:
        """Remembered only until anything is written by another connection.

        Calls done at once never write clients or agents themselves, so that what is remembered is
        what the database holds.
        """
        database = self.context.database
        version = database.version()
        if version is not None:
            if version != self._clients_version or len(self._clients) > MOST_CLIENTS:
                self._clients, self._clients_version = {}, version
            if client_id in self._clients:
                return self._clients[client_id]
        with database.read() as connection:
            client = find_client(connection, client_id)
        if version is not None:
            self._clients[client_id] = client
        return client

    def checked_challenge(self, parameters: Parameters) -> str:
        """The PKCE challenge of a request that does not come through /authorize."""
        challenge = parameters.get("code_challenge", "")
        check_challenge(challenge, parameters.get("code_challenge_method"))
        return challenge

    def save_token(self, token: dict[str, Any], request: OAuthRequest) -> None:
        """Nothing of the token itself is stored; grants write the family's row."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

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


def _bearer_token(  # noqa: PLR0917
    grant_type: str,  # noqa: ARG001  (the names are Authlib's)
    client: Client,  # noqa: ARG001
    user: Issue,
    scope: str,
    expires_in: int | None = None,  # noqa: ARG001
    include_refresh_token: bool = True,  # noqa: ARG001
) -> dict[str, Any]:
    """The answer of the token endpoint (RFC 6749 section 5.1); the ID token is added by a hook."""
    return {
        "access_token": sign_access_token(user.key, user, scope),
        "token_type": "Bearer",
        "expires_in": user.access_lifetime,
        "refresh_token": user.refresh_token.reveal(),
        "scope": scope,
    }
