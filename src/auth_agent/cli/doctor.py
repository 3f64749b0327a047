"""`auth-agent doctor`: what keeps agents from signing in to this website."""

from __future__ import annotations

from typing import Annotated

import typer

from auth_agent.cli.server.storage import JsonOption
from auth_agent.doctor.report import SITE_HELP, consult, read_site
from auth_agent.website.config.settings import Settings


def doctor(
    *,
    site: Annotated[str | None, typer.Option(help=SITE_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Find out what keeps agents from signing in to this website.

    Reads AUTH_AGENT_* as the website does, asks its Auth Agent server, opens
    the website's own sign-in where it runs, and looks at its session store.
    Names each problem with its remedy; changes nothing.
    """
    try:
        visited = read_site(site) if site else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--site") from None
    raise typer.Exit(consult(Settings.from_env, visited=visited, as_json=as_json))
