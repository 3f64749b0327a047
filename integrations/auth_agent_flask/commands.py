"""`flask auth-agent doctor` finds why agents cannot sign in to this application."""

from __future__ import annotations

import click
from flask.cli import AppGroup, ScriptInfo

from auth_agent.doctor.report import DOCTOR_EXIT_CODES, SITE_HELP, consult, read_site
from auth_agent.website.config.settings import Settings
from auth_agent_flask.views import relying_party_of

group = AppGroup("auth-agent", help="Sign in with Auth Agent.")


@group.command("doctor", epilog=DOCTOR_EXIT_CODES, with_appcontext=False)
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
    info = context.ensure_object(ScriptInfo)

    def read_settings() -> Settings:
        """Loads the application, which raises `SettingsError` if its settings are wrong."""
        return relying_party_of(info.load_app()).settings

    context.exit(consult(read_settings, visited=visited, as_json=as_json))
