"""A server as a value: it takes an `HttpRequest`, returns an `HttpResponse`, and opens no socket.

It is strict where a real one is (client authentication, redirect URI, PKCE, single use), so that
a relying party that passes with it has done its part. Tests can change its answers:

    server.claims["aud"] = "another-client"         # every ID token from now on
    server.header["alg"] = "none"
    server.answers["/token"] = HttpResponse(500, {}, b"")
    server.rotate()
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from jwt.algorithms import ECAlgorithm

from auth_agent.errors import ProofRefused
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.details import OWNER, enriched
from auth_agent.protocol.dpop.proof import ADVERTISED
from auth_agent.protocol.jose.private_key import public_jwk
from auth_agent.protocol.pkce import challenge_of
from auth_agent.protocol.signatures.directory import key_set
from auth_agent.testing.callers import Callers
from auth_agent.testing.issuer import ABSENT, Issuer, present


class FakeServer(Issuer):
    """One issuer, one website, one agent."""

    def __init__(
        self,
        issuer: str = "https://auth.example",
        *,
        client_id: str = "client_shop",
        client_secret: str = "cs_a secret: with+signs",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(issuer, client_id, clock)
        self.client_secret = client_secret
        self.client_key: Any = None
        """The website's public key, for `private_key_jwt`."""
        self.reset()

    def reset(self) -> None:
        """Forgets requests, tokens and changes; keeps its key."""
        self.requests: list[HttpRequest] = []
        """Everything that was asked, in order."""
        self.answers: dict[str, HttpResponse | Exception] = {}
        """Path to what is answered (or raised) there, instead of the truth."""
        self.claims = {}
        self.header = {}
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.token_response: dict[str, Any] = {}
        self.introspection: dict[str, Any] = {}
        """What introspection adds to, or bends in, the claims of an active token."""
        self.agent = {
            "sub": "agent_7",
            "agent_id": "agent_7",
            "model": "claude-opus-4",
            "model_name": "claude-opus-4",
            "email": "owner@example.com",
            "email_verified": True,
            "name": "Shopping agent",
        }
        self.owner_approves = True
        """What the agent's owner says if the website asks for approval."""
        self.active = set()
        self.extra_keys: list[dict[str, Any]] = []
        self.issued_codes: list[str] = []
        self.bound: dict[str, str] = {}
        """The access tokens that are bound to a key, and its thumbprint (`jkt`)."""
        self._callers = Callers(self)
        self._families: dict[str, set[str]] = {}
        self._codes: dict[str, tuple[dict[str, str], dict[str, Any]]] = {}
        self._pushed: dict[str, dict[str, str]] = {}

    def count(self, path: str) -> int:
        """Returns how often a path was requested."""
        return sum(urlsplit(request.url).path == path for request in self.requests)

    def approve(
        self, authorization_url: str, *, agent: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        """Approves as an agent; returns the next URL. `changes` override its parameters."""
        query = dict(parse_qsl(urlsplit(authorization_url).query))
        if "request_uri" in query:
            query = self._pushed.pop(query["request_uri"])
        asked = {**self._approval(query), **(agent or {})}
        if "acr_values" in query and not self.owner_approves:
            refused = {"error": "access_denied", "state": query["state"], "iss": self.issuer}
            return f"{query['redirect_uri']}?{urlencode(refused)}"
        code = f"ac_{secrets.token_urlsafe(16)}"
        self.issued_codes.append(code)
        self._codes[code] = (query, {**self.agent, **asked})
        answer = {"code": code, "state": query["state"], "iss": self.issuer, **changes}
        sent = {name: value for name, value in answer.items() if value is not ABSENT}
        return f"{query['redirect_uri']}?{urlencode(sent, doseq=True)}"

    def _approval(self, query: dict[str, str]) -> dict[str, Any]:
        """Returns the claims of an owner's approval, as a server adds them."""
        if "acr_values" not in query:
            return {}
        found: dict[str, Any] = {"acr": OWNER, "amr": ["pwd", "user", "hwk"]}
        if "authorization_details" in query:
            details = json.loads(query["authorization_details"])
            approval_id = f"ask_{secrets.token_urlsafe(9)}"
            found["authorization_details"] = enriched(details, approval_id, int(self.clock()))
        return found

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Returns the server's answer; raises a network's error if `answers` holds an exception."""
        self.requests.append(request)
        path = urlsplit(request.url).path
        bent = self.answers.get(path)
        if isinstance(bent, Exception):
            raise bent
        if bent is not None:
            return bent
        handler = {
            "/.well-known/oauth-authorization-server": self._metadata,
            "/.well-known/jwks.json": self._jwks,
            "/token": self._token,
            "/par": self._push,
            "/userinfo": self._userinfo,
            "/introspect": self._introspect,
            "/revoke": self._revoke,
        }.get(path)
        if path.startswith("/agents/"):
            handler = self._agent_document
        return handler(request) if handler else json_response(404, {"error": "not_found"})

    def _metadata(self, _: HttpRequest) -> HttpResponse:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "introspection_endpoint": f"{self.issuer}/introspect",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "pushed_authorization_request_endpoint": f"{self.issuer}/par",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": True,
            "dpop_signing_alg_values_supported": list(ADVERTISED),
            **self.metadata,
        }
        return json_response(200, present(document))

    def _jwks(self, _: HttpRequest) -> HttpResponse:
        public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        key = {**public, "kid": self.kid, "alg": "ES256", "use": "sig"}
        return json_response(200, {"keys": [*self.extra_keys, key]})

    def _agent_document(self, _: HttpRequest) -> HttpResponse:
        return json_response(200, key_set([public_jwk(self.request_key, "EdDSA")]))

    def _push(self, request: HttpRequest) -> HttpResponse:
        form = dict(parse_qsl(request.body.decode()))
        if not self._callers.knows(request, form):
            return json_response(401, {"error": "invalid_client"})
        uri = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(16)}"
        self._pushed[uri] = form
        return json_response(201, {"request_uri": uri, "expires_in": 60})

    def _token(self, request: HttpRequest) -> HttpResponse:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if not self._callers.knows(request, form):
            return json_response(401, {"error": "invalid_client"})
        try:
            jkt = self._callers.proved_key(request, f"{self.issuer}/token", self.clock())
        except ProofRefused as refused:
            error = {"error": "invalid_dpop_proof", "error_description": refused.description}
            return json_response(400, error)
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form, jkt)
        begun, agent = self._codes.pop(form.get("code", ""), ({}, {}))
        challenge = challenge_of(form.get("code_verifier", ""))
        if (
            not begun
            or form.get("redirect_uri") != begun["redirect_uri"]
            or challenge != begun["code_challenge"]
        ):
            return json_response(400, {"error": "invalid_grant"})
        issued = self._issue(jkt)
        claims = self.id_claims(begun, agent, issued["access_token"])
        issued.update(scope=begun["scope"], id_token=self.sign(claims, self.header))
        return json_response(200, present({**issued, **self.token_response}))

    def _refresh(self, form: dict[str, str], jkt: str | None) -> HttpResponse:
        if form.get("refresh_token") not in self.active:
            return json_response(400, {"error": "invalid_grant"})
        self.active.discard(form["refresh_token"])
        issued = self._issue(jkt, self._families[form["refresh_token"]])
        document = {**issued, **self.token_response}
        document.pop("id_token", None)
        return json_response(200, present(document))

    def _issue(self, jkt: str | None, family: set[str] | None = None) -> dict[str, Any]:
        """Returns the token response's part about new tokens, which live and die together."""
        access_token, refresh_token = (f"{p}_{secrets.token_urlsafe(16)}" for p in ("at", "rt"))
        family = set() if family is None else family
        for token in (access_token, refresh_token):
            family.add(token)
            self.active.add(token)
            self._families[token] = family
        if jkt is not None:
            self.bound[access_token] = jkt
        return {
            "access_token": access_token,
            "token_type": "DPoP" if jkt else "Bearer",
            "expires_in": 3600,
            "refresh_token": refresh_token,
        }

    def _userinfo(self, _: HttpRequest) -> HttpResponse:
        return json_response(200, present({**self.agent, **self.userinfo}))

    def _introspect(self, request: HttpRequest) -> HttpResponse:
        form = dict(parse_qsl(request.body.decode()))
        if not self._callers.knows(request, form):
            return json_response(401, {"error": "invalid_client"})
        if form.get("token") not in self.active:
            return json_response(200, {"active": False})
        claims = {"client_id": self.client_id, **self.agent}
        if form["token"] in self.bound:
            claims.update(token_type="DPoP", cnf={"jkt": self.bound[form["token"]]})
        claims.update(self.introspection)
        return json_response(200, present({"active": True, **claims}))

    def _revoke(self, request: HttpRequest) -> HttpResponse:
        form = dict(parse_qsl(request.body.decode()))
        if not self._callers.knows(request, form):
            return json_response(401, {"error": "invalid_client"})
        self.active -= self._families.get(form.get("token", ""), set())
        return json_response(200, {})


def json_response(status: int, document: Any, **headers: str) -> HttpResponse:
    fields = {"content-type": "application/json", **headers}
    return HttpResponse(status, fields, json.dumps(document).encode())
