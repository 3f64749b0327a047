"""`flask auth-agent doctor`: what keeps agents from signing in to this application."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from auth_agent.doctor.report import DOCTOR_EXIT_CODES, SITE_HELP, consult, read_site
from auth_agent.gate import RelyingParty

group = AppGroup("auth-agent", help="Sign in with Auth Agent.")


@group.command("doctor", epilog=DOCTOR_EXIT_CODES)
@click.option("--site", help=SITE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@click.pass_context
def doctor(context: click.Context, site: str | None, as_json: bool) -> None:
    """Find out what keeps agents from signing in to this application, and what to do about it.

    Asks its Auth Agent server, opens the application's own sign-in where it runs, and looks at its
    session store; changes nothing.
    """
    try:
        visited = read_site(site) if site else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--site") from None
    relying_party: RelyingParty = current_app.extensions["auth_agent"]
    context.exit(consult(lambda: relying_party.settings, visited=visited, as_json=as_json))
