"""One MCP server as the agent sees it: its token, and what its refusals ask for."""

from __future__ import annotations

import httpx2

from auth_agent.sdk.calls.prover import prover_of, wants_nonce
from auth_agent.sdk.calls.token_calls import Listeners, TokenCalls
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.protected_resource import Challenge, Resource, read_challenge
from auth_agent.url import normal_origin


class McpServer:
    """One MCP server: its resource, the scopes requested so far, and the resulting token."""

    def __init__(self, resource: Resource, options: Options, *, dpop: bool) -> None:
        self.resource = resource
        self.asked: frozenset[str] = frozenset()
        self.prover = prover_of(options.server_url, options.agent_id) if dpop else None
        self.calls = TokenCalls(
            options, Listeners(), TokenManager(), self.prover, if_offered=resource.dpop
        )

    @property
    def token(self) -> str | None:
        return self.calls.tokens.get_access_token()

    def attach(self, request: httpx2.Request) -> None:
        """Adds the token, with a proof for this one request if it is bound to a key."""
        token = self.token
        if token is None:
            return
        if self.prover is None or not self.calls.tokens.is_bound:
            request.headers["Authorization"] = f"Bearer {token}"
            return
        request.headers["Authorization"] = f"DPoP {token}"
        request.headers["DPoP"] = self.prover.proof_now(request.method, str(request.url), token)

    def note(self, response: httpx2.Response) -> bool:
        """Remembers the answer's nonce; True if the same token may be good with it."""
        if self.prover is None:
            return False
        url, before = str(response.request.url), self.prover.nonce_for(self.resource.url)
        self.prover.note(url, response.headers)
        wants = wants_nonce(response.status_code, response.headers)
        return wants and self.prover.nonce_for(self.resource.url) != before


def was_redirected(request: httpx2.Request, response: httpx2.Response, *, signed: bool) -> bool:
    """Returns True if a proof or signature may have been refused because of a redirect.

    Each is for one URL, and the client copies it to the next one.
    """
    answered = response.request
    challenge = response.headers.get("www-authenticate", "")
    return (
        response.status_code == 401
        and (signed or "invalid_dpop_proof" in challenge)
        and answered.url != request.url
        and answered.method == request.method
        and normal_origin(str(answered.url)) == normal_origin(str(request.url))
        and isinstance(request.stream, httpx2.ByteStream)
    )


def challenge_of(request: httpx2.Request, response: httpx2.Response) -> Challenge | None:
    """Returns a refusal's challenge; None if another token, or resending, cannot help."""
    if response.status_code not in (401, 403) or not isinstance(request.stream, httpx2.ByteStream):
        return None
    if normal_origin(str(response.request.url)) != normal_origin(str(request.url)):
        return None  # a redirect has led elsewhere
    challenge = read_challenge(response.headers)
    if response.status_code == 403 and challenge.error != "insufficient_scope":
        return None
    return challenge
