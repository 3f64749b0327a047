"""`auth-agent owner`: the people who answer for agents."""

from __future__ import annotations

import time

import typer

from auth_agent.cli.output import EXIT_CODES, fail
from auth_agent.cli.server.agent_fields import AgentArgument
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, opened

app = typer.Typer(no_args_is_help=True, help="The owners of agents.", epilog=EXIT_CODES)


@app.callback()
def owner() -> None:
    """The owners of agents."""


@app.command("remove-passkeys", epilog=EXIT_CODES)
def remove_passkeys(agent_id: AgentArgument, database: DatabaseOption = DEFAULT_DATABASE) -> None:
    """Remove the passkeys of an agent's owner, who has lost them; a mailed code adds a new one."""
    from auth_agent.server.registry import passkeys  # noqa: PLC0415

    with opened(database) as db:
        found = passkeys.remove_owners_passkeys(db, agent_id, int(time.time()))
    if found is None:
        raise fail(f"There is no agent {agent_id}")
    typer.echo(f"Removed {found[1]} passkey{'s' * (found[1] != 1)} of {found[0]}.")
