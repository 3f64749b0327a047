"""The sign-in on Authlib and Flask, in memory; run with its port.

Authorization with PKCE, the agent's approval, the page's poll, a token request answered with a
signed ID token and access token (ES256) and a refresh token.
"""

from __future__ import annotations

import secrets
import time
from types import SimpleNamespace
from typing import Any

import jwt
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, Response, jsonify, make_response, request

from benchmarks.peers.servers.agent_secret import KnownSecret
from benchmarks.peers.servers.one_thread import OneThread

ISSUER, REDIRECT = "https://id.example", "https://shop.example/callback"
KEY = ec.generate_private_key(ec.SECP256R1())
client_secret, agent_secret = KnownSecret("secret"), KnownSecret("secret")
_requests: dict[str, Any] = {}
_codes: dict[str, Any] = {}


class Server(AuthorizationServer):  # type: ignore[misc]
    """Takes a request that was kept, where Authlib's own looks at the current one only."""

    def create_oauth2_request(self, request: Any) -> Any:
        return request or super().create_oauth2_request(request)


class Client:
    """The one website."""

    client_id = "client"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return REDIRECT

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return uri == REDIRECT

    def check_client_secret(self, secret: str) -> bool:
        return client_secret.is_right(secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind == "authorization_code"


class Code(SimpleNamespace):
    """A code, as the grant wants to see it."""

    def get_redirect_uri(self) -> str:
        return REDIRECT

    def get_scope(self) -> str:
        return str(self.scope)


class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]  # noqa: RUF012

    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        _codes[code] = Code(
            code=code,
            scope=request.payload.scope,
            code_challenge=data["code_challenge"],
            code_challenge_method=data["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Any) -> Any:
        return _codes.get(code)

    def delete_authorization_code(self, code: Any) -> None:
        del _codes[code.code]

    def authenticate_user(self, code: Any) -> Any:
        return "agent"


def bearer(grant_type: str, client: Any, user: Any = None, scope: str = "", **more: Any) -> Any:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": user, "iat": now, "exp": now + 3600, "scope": scope}
    access = {**claims, "aud": "https://shop.example", "jti": secrets.token_urlsafe(16)}
    return {
        "access_token": jwt.encode(access, KEY, "ES256", headers={"typ": "at+jwt", "kid": "1"}),
        "id_token": jwt.encode({**claims, "aud": "client"}, KEY, "ES256", headers={"kid": "1"}),
        "refresh_token": secrets.token_urlsafe(32),
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": scope,
    }


app = Flask(__name__)
server = Server(app, query_client=lambda _id: Client(), save_token=lambda *_: None)
server.register_grant(Grant, [CodeChallenge(required=True)])
server.register_token_generator("default", bearer)


@app.get("/authorize")
def authorize() -> Response:
    asked = FlaskOAuth2Request(request._get_current_object())  # outlives this call
    server.get_consent_grant(asked)
    request_id = secrets.token_urlsafe(18)
    _requests[request_id] = asked
    page = make_response(
        f"<!doctype html><script>window.authRequest = {{ request_id: '{request_id}' }}</script>"
    )
    page.headers["set-cookie"] = "browser=1; Path=/; HttpOnly"
    return page


@app.post("/api/agent/authenticate")
def authenticate() -> Response:
    body = request.get_json()
    assert agent_secret.is_right(body["agent_secret"])
    asked = _requests[body["request_id"]]
    granted = server.create_authorization_response(
        asked, grant_user="agent", grant=server.get_authorization_grant(asked)
    )
    code = granted.headers["location"].partition("code=")[2].partition("&")[0]
    _requests[body["request_id"]] = code
    return jsonify(success=True)


@app.get("/api/check-status")
def check_status() -> Response:
    return jsonify(status="authenticated", code=_requests.pop(request.args["request_id"]))


@app.post("/token")
def token() -> Any:
    return server.create_token_response()


if __name__ == "__main__":
    OneThread(lambda: app).run()
