"""The public document of each agent that signs its requests: `{issuer}/agents/{agent_id}`.

It is a key set (RFC 7517), so that its URL is the agent's name in `Signature-Agent` (Web Bot
Auth), and a client ID metadata document, so that the same URL is the agent's `client_id` at other
servers. No assertion (RFC 7523) can be read as a signed request, nor the reverse: the one is
base64url and dots, the other begins with a quotation mark (RFC 9421 section 2.5).
"""

from __future__ import annotations

import hashlib

import msgspec

from auth_agent.server.context import Context
from auth_agent.server.registry.request_keys import AgentKeys, read_agent_keys
from auth_agent.server.web.call import Answer, Call, Refusal
from auth_agent.server.web.urls import agent_url

# A website that keeps to this notices a removed key, or a disabled agent, within five minutes.
_CACHED = "public, max-age=300, must-revalidate"
_NOT_THERE = Refusal(404, "not_found", "There is nothing at this address")
# An agent receives codes as an app does: on its own machine, at any port (RFC 8252 section 7.3).
_REDIRECT_URIS = ["http://127.0.0.1/callback", "http://localhost/callback"]


def agent_document(context: Context, call: Call) -> Answer:
    """GET /agents/{id}: 404 for an unknown agent, and for one that never had a signing key.

    A disabled agent, and one whose keys were removed, answers 200 with empty sets: a website that
    cannot read a document keeps the keys that it read before.
    """
    with context.database.read() as connection:
        found = read_agent_keys(connection, call.path_params["id"])
    if found is None:
        raise _NOT_THERE
    body = msgspec.json.encode(_document(context.settings.issuer, found))
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = (("cache-control", _CACHED), ("etag", etag))
    if _matches(call.headers.get("if-none-match", ""), etag):
        return Answer(304, b"", headers)
    return Answer(200, body, headers)


def _document(issuer: str, agent: AgentKeys) -> dict[str, object]:
    return {
        "client_id": agent_url(issuer, agent.agent_id),
        "client_name": agent.name,
        "application_type": "native",
        "redirect_uris": _REDIRECT_URIS,
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "EdDSA",
        "jwks": {"keys": agent.keys},
        "keys": agent.keys,
    }


def _matches(asked: str, etag: str) -> bool:
    """Compares `If-None-Match` weakly (RFC 9110 section 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return etag in tags or "*" in tags
