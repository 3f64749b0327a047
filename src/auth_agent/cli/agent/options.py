"""The options and the credential of every command that acts as an agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from auth_agent.sdk import AgentSDK
    from auth_agent.secret import Secret

AgentIdOption = Annotated[str, typer.Option(envvar="AUTH_AGENT_AGENT_ID", help="The agent's id.")]
IssuerOption = Annotated[
    str,
    typer.Option(
        envvar="AUTH_AGENT_AGENT_ISSUER",
        help="The agent's Auth Agent server; its secret is sent nowhere else.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(envvar="AUTH_AGENT_AGENT_MODEL", help="The model that the agent runs."),
]

VARIABLES: Mapping[str, str] = {
    "AUTH_AGENT_AGENT_ID": "The agent's ID.",
    "AUTH_AGENT_AGENT_ISSUER": (
        "The URL of its Auth Agent server, the only one that gets its credentials."
    ),
    "AUTH_AGENT_AGENT_MODEL": "The model that the agent runs.",
    "AUTH_AGENT_AGENT_SECRET": "Its secret.",
    "AUTH_AGENT_AGENT_SECRET_FILE": (
        "The path of a file with the secret, which only its owner can read."
    ),
    "AUTH_AGENT_AGENT_PRIVATE_KEY": (
        "Its private key instead of a secret: PEM, or the path of a file that only its owner can "
        "read."
    ),
    "AUTH_AGENT_AGENT_SIGNING_KEY": (
        "The key that signs its HTTP requests (Ed25519): PEM, or the path of a file that only its "
        "owner can read."
    ),
    "AUTH_AGENT_AGENT_SIGNATURE_AGENT": (
        "The URL that publishes the signing key; empty: the agent's document at its server."
    ),
    "AUTH_AGENT_AGENT_CDP": (
        "The address of the browser that the model of `auth-agent mcp` drives (CDP)."
    ),
    "AUTH_AGENT_AGENT_WEBSITES": (
        "Origins that the agent is allowed to sign in to, comma separated; empty: all."
    ),
    "AUTH_AGENT_AGENT_SCOPES": (
        "Scopes that a website is allowed to ask for, comma separated; empty: all."
    ),
    "AUTH_AGENT_AGENT_RESOURCES": (
        "APIs that a client is allowed to ask for, comma separated; empty: a website's own."
    ),
}
"""Every variable that the commands of an agent read, and its meaning."""


def find_sdk(agent_id: str, issuer: str, model: str | None, **options: Any) -> AgentSDK:
    """Returns the SDK with the agent's credential and bounds; asks for a missing secret."""
    from auth_agent.sdk import AgentSDK  # noqa: PLC0415
    from auth_agent.sdk.identity.credentials import find_bounds  # noqa: PLC0415

    secret, key = find_credential(agent_id)
    return AgentSDK(
        agent_id=agent_id,
        agent_secret=secret,
        private_key=key,
        server_url=issuer,
        model=model,
        **options,
        **find_bounds(os.environ),
    )


def find_credential(agent_id: str) -> tuple[Secret | None, str | None]:
    """Returns the secret or the key, asked for without echo; never from an argument."""
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk.identity.credentials import HOW, find_key, find_secret  # noqa: PLC0415
    from auth_agent.secret import Secret  # noqa: PLC0415

    if key := find_key(os.environ):
        return None, key
    found = find_secret(os.environ, agent_id)
    if found is None and not sys.stdin.isatty():
        raise SettingsError([f"the agent's secret is missing: {HOW}"])
    return found or Secret(typer.prompt("The agent's secret", hide_input=True, err=True)), None
