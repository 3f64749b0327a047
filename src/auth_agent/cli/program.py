"""The commands; each imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import typer

from auth_agent.cli import doctor, login, mcp
from auth_agent.cli.demo import command as demo
from auth_agent.cli.output import EXIT_CODES
from auth_agent.cli.server import admin, agents, clients, keys, serve
from auth_agent.doctor.report import DOCTOR_EXIT_CODES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Let AI agents sign in to websites with an identity of their own.",
    epilog=EXIT_CODES,
)
app.command("demo", epilog=demo.DEMO_EXIT_CODES)(demo.demo)
app.command("serve", epilog=EXIT_CODES)(serve.serve)
app.add_typer(clients.app, name="client")
app.add_typer(agents.app, name="agent")
app.add_typer(keys.app, name="keys")
app.add_typer(admin.app, name="admin")
app.command("migrate", epilog=EXIT_CODES)(keys.migrate)
app.command("login", epilog=login.LOGIN_EXIT_CODES)(login.login)
app.command("doctor", epilog=DOCTOR_EXIT_CODES)(doctor.doctor)
app.command("mcp", epilog=mcp.MCP_EXIT_CODES)(mcp.mcp)
