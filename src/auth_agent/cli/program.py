"""The commands; each imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from auth_agent.cli import doctor
from auth_agent.cli.agent import ask_owner, login, mcp, sign
from auth_agent.cli.agent.dotenv import add_identity, trim
from auth_agent.cli.demo import command as demo
from auth_agent.cli.output import EXIT_CODES
from auth_agent.cli.server import admin, agents, clients, keys, owners, resources, serve
from auth_agent.doctor.report import DOCTOR_EXIT_CODES
from auth_agent.extras import DISTRIBUTION

START = """What do you want to do?

  See it work            auth-agent demo
  Run a server           auth-agent serve
  Let agents in          auth-agent client add NAME --redirect-uri URI
  Check your website     auth-agent doctor
  Give an agent an id    auth-agent agent add EMAIL --model MODEL
  Sign an agent in       auth-agent login URL
  Ask an agent's owner   auth-agent ask-owner URL --details act.json
  Give a model the tool  auth-agent mcp

All commands: auth-agent --help"""

_OF_AN_AGENT = ("ask-owner", "login", "mcp", "sign")

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Let AI agents sign in to websites with an identity of their own.",
    epilog=EXIT_CODES,
)


def _show_version(wanted: bool) -> None:  # Typer's name for it
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"auth-agent {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Let AI agents sign in to websites with an identity of their own."""
    trim(os.environ)
    if context.invoked_subcommand is None:
        typer.echo(START)
    elif context.invoked_subcommand in _OF_AN_AGENT and (
        said := add_identity(os.environ, Path(".env").absolute())
    ):
        typer.echo(said, err=True)


app.command("demo", epilog=demo.DEMO_EXIT_CODES)(demo.demo)
app.command("serve", epilog=EXIT_CODES)(serve.serve)
app.add_typer(clients.app, name="client")
app.add_typer(resources.app, name="resource")
app.add_typer(agents.app, name="agent")
app.add_typer(owners.app, name="owner")
app.add_typer(keys.app, name="keys")
app.add_typer(admin.app, name="admin")
app.command("migrate", epilog=EXIT_CODES)(keys.migrate)
app.command("login", epilog=login.LOGIN_EXIT_CODES)(login.login)
app.command("ask-owner", epilog=ask_owner.ASK_EXIT_CODES)(ask_owner.ask_owner)
app.command("sign", epilog=EXIT_CODES)(sign.sign)
app.command("doctor", epilog=DOCTOR_EXIT_CODES)(doctor.doctor)
app.command("mcp", epilog=mcp.MCP_EXIT_CODES)(mcp.mcp)
