"""`auth-agent doctor` without the extra `cli`, so that it runs wherever a website does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from auth_agent.doctor.report import DOCTOR_EXIT_CODES, SITE_HELP, consult, read_site
from auth_agent.website.config.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Examines the website of the environment; returns the exit code."""
    parser = argparse.ArgumentParser(
        "auth-agent doctor",
        description="Find out what keeps agents from signing in to this website.",
        epilog=DOCTOR_EXIT_CODES,
    )
    parser.add_argument("--site", type=_site, help=SITE_HELP)
    parser.add_argument("--json", action="store_true", help="Print JSON on stdout.")
    given = parser.parse_args(arguments)
    return consult(Settings.from_env, visited=given.site, as_json=given.json)


def _site(url: str) -> str:
    try:
        return read_site(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
