"""`AgentTokenVerifier`: for servers that their own package guards.

MCPServer(token_verifier=AgentTokenVerifier(), auth=AuthSettings(…))
FastMCP(auth=AgentTokenVerifier())
"""

from __future__ import annotations

from typing import Any

from mcp.server.auth.provider import AccessToken
from pydantic import PrivateAttr

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.drive import arun
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.mcp.token import enter_with_token
from auth_agent_mcpserver.principal import token_values
from auth_agent_mcpserver.protection import api_settings

try:
    from fastmcp.server.auth import AccessToken as FastToken
    from fastmcp.server.auth import TokenVerifier as FastVerifier
    from fastmcp.server.auth.auth import TokenVerificationError as Unverified
except ImportError:  # a server of `mcp` alone

    class FastVerifier:  # type: ignore[no-redef]
        """The single method that `mcp` needs."""

        def __init__(self, **_options: Any) -> None:
            pass

    FastToken = AccessToken
    Unverified = RuntimeError


class AgentToken(FastToken):
    """A verified token, through which `requires_agent` and `agent_of` find the agent."""

    _entry: Entry = PrivateAttr()

    @property
    def entry(self) -> Entry:
        return self._entry


class AgentTokenVerifier(FastVerifier):
    """The token verifier of both packages: issuer, audience, expiry, revocation, the site's rules.

    `path` is the MCP endpoint; it belongs to the audience unless AUTH_AGENT_AUDIENCE names one.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
        path: str = "/mcp",
        required_scopes: list[str] | None = None,
    ) -> None:
        self.relying_party = relying_party or RelyingParty(api_settings(settings, path))
        base_url = self.relying_party.settings.base_url
        super().__init__(base_url=base_url, required_scopes=required_scopes)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Returns the verified token, None for a refused one; raises if it cannot be checked."""
        try:
            entry = await arun(enter_with_token(self.relying_party, token))
        except (ServerUnavailable, ServerMisbehaved) as problem:
            raise Unverified(problem.description) from problem
        agent = entry.look() if entry is not None else None
        if entry is None or agent is None:
            return None
        resource = self.relying_party.settings.expected_audience
        verified = AgentToken(token=token, resource=resource, **token_values(agent))
        verified._entry = entry
        return verified
