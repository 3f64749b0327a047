"""`auth-agent owner`: the people who answer for agents."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from auth_agent.cli.output import EXIT_CODES, fail, print_json, print_values
from auth_agent.cli.server.admin import DEFAULT_ISSUER, IssuerOption
from auth_agent.cli.server.agent_fields import AgentArgument
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(no_args_is_help=True, help="The owners of agents.", epilog=EXIT_CODES)


@app.callback()
def owner() -> None:
    """The owners of agents."""


@app.command("invite", epilog=EXIT_CODES)
def invite(
    address: Annotated[
        str, typer.Argument(help=("The owner's e-mail address, as registered with the agents."))
    ],
    *,
    minutes: Annotated[
        int, typer.Option("--minutes", min=5, max=1440, help="How long the link is valid.")
    ] = 60,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Print a link with which an owner adds the first passkey, once, on a server without mail.

    Give the link only to the owner. It does not replace a passkey: remove a lost one first
    (`auth-agent owner remove-passkeys`). A new link replaces the older ones.
    """
    from auth_agent.server.approval.invitations import invite as make  # noqa: PLC0415
    from auth_agent.server.bounds import MINUTE  # noqa: PLC0415
    from auth_agent.server.security.passkeys import RelyingParty  # noqa: PLC0415

    with opened(database) as db:
        if RelyingParty.of(issuer) is None:
            raise fail(
                "Passkeys do not work at an IP address. Give the server a host name, and set it "
                "with --issuer or AUTH_AGENT_SERVER_ISSUER, e.g. http://localhost:8420"
            )
        owner, token = make(db, address, int(time.time()), minutes * MINUTE)
    values = {
        "owner": owner,
        "invitation_url": f"{issuer.rstrip('/')}/owner/invitation?token={token.reveal()}",
    }
    if as_json:
        print_json({**values, "expires_in": minutes * MINUTE})
        return
    print_values(values, f"The link works once, for {minutes} minutes.")


@app.command("remove-passkeys", epilog=EXIT_CODES)
def remove_passkeys(agent_id: AgentArgument, database: DatabaseOption = DEFAULT_DATABASE) -> None:
    """Remove the passkeys of an agent's owner, who has lost them, and sign the owner out.

    A running server mails the owner. A mailed code, or `auth-agent owner invite`, adds a new one.
    """
    from auth_agent.server.registry.people import passkeys  # noqa: PLC0415

    with opened(database) as db:
        found = passkeys.remove_owners_passkeys(db, agent_id, int(time.time()))
    if found is None:
        raise fail(f"There is no agent {agent_id}")
    typer.echo(f"Removed {found[1]} passkey{'s' * (found[1] != 1)} of {found[0]}.")
