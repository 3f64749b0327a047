"""The reference of claims: what tokens hold, found by building them, and the fields of `Agent`."""

from __future__ import annotations

from typing import Any

import msgspec

from auth_agent import Agent
from auth_agent.secret import Secret
from auth_agent.server.registry.claims import AgentRecord
from auth_agent.server.tokens.signed import Issue, sign_access_token, sign_id_token
from handbook.reading import field_docs, one_line

MEANING = {
    "iss": "The server's issuer URL.",
    "sub": "The agent's ID. With `iss` it is the agent's identity.",
    "aud": "ID token: the website's client ID. Access token: the API or website that it is for.",
    "client_id": "The client that the token was issued to.",
    "iat": "When it was issued, in seconds since 1970.",
    "exp": "When it expires, in seconds since 1970.",
    "jti": "The token's own ID.",
    "sid": "The sign-in that it belongs to; all tokens of one sign-in end together.",
    "auth_time": "When the agent authenticated at the server.",
    "scope": "The scopes that were granted, separated by spaces.",
    "nonce": "The value of the authorization request, unchanged.",
    "at_hash": "A digest of the access token that came with it.",
    "acr": "How the owner was asked; absent if the owner was not asked.",
    "amr": "How the agent authenticated: `pwd` secret, `swk` key, `otp` and `mfa` mailed code.",
    "authorization_details": "The act that the owner approved (RFC 9396).",
    "agent_id": "As `sub`.",
    "model": "The model that the agent says it runs; absent if none is known.",
    "model_name": "As `model`.",
    "email": "The owner's address, with the scope `email`; absent unless it is verified.",
    "email_verified": "Whether the owner's address is verified; if it is not, `email` is absent.",
    "name": "The owner's name, with the scope `profile`.",
    "permissions": "Words that an administrator gave the agent.",
    "cnf": "The thumbprint of the key that the token is bound to (DPoP).",
}  # fmt: skip

HEAD = """# Claims

## In tokens

| claim | ID token | access token | |
|---|---|---|---|
"""
AGENT = """
## In the website's code

The middleware verifies the credentials and makes an `Agent` of them, the same for every way of signing in.

| field | |
|---|---|
"""


class _Recorder:
    """Stands where a signing key does, and keeps the claims."""

    algorithm = "ES256"

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}

    def sign(self, claims: dict[str, Any], _kind: str) -> str:
        self.claims = claims
        return "token"


def claims() -> str:
    """Returns the page about claims; raises KeyError for one whose meaning is not written down."""
    identity, access = issued()
    rows = [
        f"| `{name}` | {_yes(name in identity)} | {_yes(name in access)} | {MEANING[name]} |"
        for name in dict.fromkeys((*identity, *access))
    ]
    docs = field_docs(Agent)
    fields = [field.name for field in msgspec.structs.fields(Agent)]
    return (
        HEAD
        + "\n".join(rows)
        + "\n"
        + AGENT
        + "".join(f"| `{name}` | {one_line(docs[name])} |\n" for name in fields)
    )


def issued() -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the claims of an ID token and an access token with everything that they can hold."""
    key: Any = _Recorder()
    values: dict[str, Any] = {
        "key": key,
        "refresh_token": Secret("r"),
        "issuer": "https://id.example",
        "client_id": "client_1",
        "family_id": "family_1",
        "agent": AgentRecord("agent_1", "ada@example.com", True, "Ada", ("trusted",), True),
        "model": "claude-opus-4",
        "audience": ("https://shop.example",),
        "auth_time": 0,
        "amr": ("swk",),
        "now": 0,
        "access_lifetime": 1,
        "id_token_lifetime": 1,
        "nonce": "n",
        "acr": "owner",
        "details": ({"type": "refund"},),
        "jkt": "thumbprint",
    }
    issue = Issue(**values)
    scope = "openid profile email agent"
    sign_id_token(key, issue, scope, "access token")
    identity = key.claims
    sign_access_token(key, issue, scope)
    return identity, key.claims


def _yes(there: bool) -> str:
    return "yes" if there else ""
