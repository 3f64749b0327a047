"""`AuthAgentProvider`: FastMCP(auth=AuthAgentProvider())."""

from __future__ import annotations

from typing import Any

from fastmcp.server.auth import RemoteAuthProvider
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_agent.asgi import AsgiVisit
from auth_agent.errors import SettingsError
from auth_agent.website.config.settings import Settings
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.resource import answer_metadata, metadata_paths
from auth_agent_mcpserver.verifier import AgentTokenVerifier


class AuthAgentProvider(RemoteAuthProvider):
    """FastMCP's own guard with agents' tokens; refusals of single tools are its tool errors."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
        path: str = "/mcp",
        required_scopes: list[str] | None = None,
    ) -> None:
        verifier = AgentTokenVerifier(
            settings, relying_party=relying_party, path=path, required_scopes=required_scopes
        )
        self.settings = verifier.relying_party.settings
        scopes = [*(required_scopes or ()), *self.settings.api_scopes]
        super().__init__(
            token_verifier=verifier,
            authorization_servers=[AnyHttpUrl(self.settings.issuer)],
            base_url=self.settings.base_url,
            scopes_supported=list(dict.fromkeys(scopes)),
            required_scopes=required_scopes,
        )

    def get_routes(self, mcp_path: str | None = None) -> list[Route]:
        """Returns the routes of the resource metadata, with the issuer exactly as configured."""
        self.set_mcp_path(mcp_path)
        endpoint = self.settings.base_url + (mcp_path or "")
        if endpoint != self.settings.expected_audience:
            audience = self.settings.expected_audience
            raise SettingsError(
                [
                    (
                        f"AUTH_AGENT_AUDIENCE is {audience}, but clients call {endpoint}: set "
                        "AUTH_AGENT_AUDIENCE to the URL that clients call"
                    )
                ]
            )
        return [
            Route(one, self._metadata, methods=["GET", "OPTIONS"])
            for one in metadata_paths(self.settings)
        ]

    async def _metadata(self, request: Request) -> Response:
        reply = answer_metadata(AsgiVisit(request.scope), self.settings)
        headers: Any = dict(reply.headers)
        return Response(reply.body, reply.status, headers)
