"""`manage.py auth_agent_doctor` finds why agents cannot sign in to this website."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from django.core.checks import ERROR
from django.core.management.base import BaseCommand, CommandError, CommandParser

from auth_agent.doctor.finding import Finding, failure, warning
from auth_agent.doctor.report import DOCTOR_EXIT_CODES, SITE_HELP, consult, read_site
from auth_agent_django.checks import WRONG_SETTING, check_site
from auth_agent_django.configuration import Configuration


class Command(BaseCommand):
    """Examines the website with its own settings: `AUTH_AGENT` and the environment."""

    help = (
        "Find out what keeps agents from signing in to this website, and what to do about it. "
        f"Changes nothing. {DOCTOR_EXIT_CODES}"
    )
    # Django's checks would stop this command at the problems that it reports.
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", help=SITE_HELP)
        parser.add_argument("--json", action="store_true", help="Print JSON on stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            visited = read_site(options["site"]) if options["site"] else None
        except ValueError as error:
            raise CommandError(f"--site {error}", returncode=2) from None
        code = consult(
            lambda: Configuration.read().settings,
            visited=visited,
            as_json=options["json"],
            more=_system_checks(),
            file=cast(Any, self.stdout),
            no_color=options["no_color"],
        )
        if code:
            raise SystemExit(code)


def _system_checks() -> Iterator[Finding]:
    """Yields Django's own findings; the doctor itself reports wrong settings."""
    for message in check_site(None):
        if message.id != WRONG_SETTING:
            make = failure if message.level >= ERROR else warning
            code = f"django.{(message.id or '').partition('.')[2]}"
            yield make(code, message.msg, message.hint or "See the documentation.")
