"""`auth-agent ask-owner`: ask the agent's owner to approve one act, and print the token for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auth_agent.cli.agent.options import (
    AgentIdOption,
    IssuerOption,
    ModelOption,
    find_sdk,
)

if TYPE_CHECKING:
    from auth_agent.sdk.results import TokenResponse

ASK_EXIT_CODES = (
    "Exit codes: 0 approved, 1 denied or refused, 2 wrong usage, 3 the server cannot be reached, "
    "4 the owner did not answer in time."
)
REFUSED, USAGE, UNREACHABLE, SILENT = 1, 2, 3, 4
MAX_DETAILS = 65_536


def ask_owner(
    resource: Annotated[str, typer.Argument(help="The website or API where the act will be done.")],
    *,
    agent_id: AgentIdOption,
    issuer: IssuerOption,
    model: ModelOption = None,
    details: Annotated[
        str,
        typer.Option(
            "--details",
            help=(
                "A file with the act as JSON, or - for stdin: an object with type and title, an "
                "array of such objects, or the JSON of the website's refusal."
            ),
        ),
    ] = "",
    message: Annotated[
        str | None, typer.Option("--message", help="One short line that the owner sees.")
    ] = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Scopes of the token.")] = None,
    timeout: Annotated[
        int, typer.Option("--timeout", min=30, max=3_600, help="Seconds to wait for the owner.")
    ] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer.")] = False,
) -> None:
    """Ask the agent's owner to approve one act, and print the header of the token for it.

    curl reads it: auth-agent ask-owner URL --details act.json | curl -H @- -X POST URL. The owner
    answers on the server's page; this command never sees the owner's passkey or code. The agent's
    secret comes from the same places as for `auth-agent login`.
    """
    from auth_agent.cli.output import Lines  # noqa: PLC0415
    from auth_agent.errors import AuthError, ServerUnavailable, SettingsError  # noqa: PLC0415

    told = Lines(stderr=True)
    try:
        acts = _read(details)
        # A token that is bound to a key of this process would be of no use to curl.
        sdk = find_sdk(agent_id, issuer, model, dpop=False)
        told.print(f"Asking the owner of {agent_id}; waiting up to {timeout} seconds.")
        with sdk:
            tokens = sdk.ask_owner(
                acts, resource=resource, scope=scope, message=message, timeout=timeout
            )
    except AuthError as error:
        told.print(f"Not approved ({error.code}). {error.description}", style="bold red")
        if isinstance(error, SettingsError):
            raise typer.Exit(USAGE) from None
        unreachable = UNREACHABLE if isinstance(error, ServerUnavailable) else REFUSED
        raise typer.Exit(SILENT if error.code == "owner_silent" else unreachable) from None
    told.print("The owner has approved it.", style="bold green")
    _print(tokens, as_json=as_json)


def _print(tokens: TokenResponse, *, as_json: bool) -> None:
    from auth_agent.cli.output import print_json  # noqa: PLC0415

    if as_json:
        print_json(tokens.to_dict())
    else:
        typer.echo(f"Authorization: Bearer {tokens.access_token}")


def _read(source: str) -> list[dict[str, Any]]:
    """Returns the acts of a file: one, several, or those of a website's refusal."""
    import json  # noqa: PLC0415

    from auth_agent.errors import SettingsError  # noqa: PLC0415

    if not source:
        return []
    try:
        with sys.stdin if source == "-" else Path(source).open(encoding="utf-8") as stream:
            found = json.loads(stream.read(MAX_DETAILS))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            [f"--details: {source} contains no JSON ({type(error).__name__})"]
        ) from None
    if isinstance(found, dict):
        found = found.get("authorization_details", [found])
    if not isinstance(found, list) or not all(isinstance(act, dict) for act in found):
        raise SettingsError([f"--details: {source} contains no act: an object with type and title"])
    return found
