"""Guards MCP servers: admits only agents, and each tool declares its requirements.

app = protect(server, tools={"delete_*": Requirement(scopes=["invoices:write"])})

@server.tool()
@requires_agent(scopes=["invoices:write"])      # the same, declared at the tool
def delete_invoice(number: str, ctx: Context) -> str:
    agent_of(ctx).id                            # the Agent
"""

from typing import TYPE_CHECKING, Any

from auth_agent.website.policy.requirement import Requirement
from auth_agent_mcpserver.acts import approval_of
from auth_agent_mcpserver.tools import agent_of, requires_agent, requires_approval

if TYPE_CHECKING:
    from auth_agent_mcpserver.protection import protect
    from auth_agent_mcpserver.provider import AuthAgentProvider
    from auth_agent_mcpserver.verifier import AgentTokenVerifier

__all__ = [
    "AgentTokenVerifier",
    "AuthAgentProvider",
    "Requirement",
    "agent_of",
    "approval_of",
    "protect",
    "requires_agent",
    "requires_approval",
]

_LATER = {
    "protect": "protection",
    "AgentTokenVerifier": "verifier",
    "AuthAgentProvider": "provider",
}


def __getattr__(name: str) -> Any:
    """Imports names that need an MCP package, or the middleware, on first access."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
