"""Findings in the settings alone, before any request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from auth_agent.doctor.finding import Finding, failure, note, ok, warning
from auth_agent.errors import SettingsError
from auth_agent.url import is_loopback
from auth_agent.website.config.settings import Settings

_BORDER = re.compile("[:;] ")  # the first one carries the remedy
MIN_DIFFERENT = 10  # characters; 32 random hexadecimal digits hold 14 on average


def wrong_settings(error: SettingsError) -> Iterator[Finding]:
    """Yields every mistake in the settings, with its remedy."""
    for problem in error.problems:
        what, remedy = (*_BORDER.split(problem, 1), "correct this setting")[:2]
        yield failure("settings.wrong", f"{what}.", remedy[:1].upper() + remedy[1:])
    yield note(
        "settings.not_asked",
        "The server and the website were not checked.",
        "Correct the settings, then run this command again.",
    )


def examine_settings(settings: Settings) -> Iterator[Finding]:
    yield ok("settings.complete", "All settings are present and well formed.")
    if any(len(set(secret.reveal())) < MIN_DIFFERENT for secret in settings.secret):
        yield warning(
            "settings.secret_weak",
            "AUTH_AGENT_SECRET holds a secret that is long enough but made of few characters; "
            "anyone who guesses it can sign in as any agent.",
            'Put a random secret in front of it: python -c "import secrets; '
            'print(secrets.token_urlsafe(48))"',
        )
    if settings.report_only:
        yield warning(
            "settings.report_only",
            "AUTH_AGENT_REPORT_ONLY is on: agents that the policy would refuse are let in.",
            "Once the log shows what you expect, remove AUTH_AGENT_REPORT_ONLY.",
        )
    if settings.audience is not None and settings.audience != settings.base_url:
        yield note(
            "settings.audience",
            f"Bearer tokens for this website must be made for {settings.audience}, "
            "which is not its base URL.",
            "That is right for an API that has its own URL as its name; otherwise remove "
            "AUTH_AGENT_AUDIENCE.",
        )
    yield from _examine_hosts(settings)


def _examine_hosts(settings: Settings) -> Iterator[Finding]:
    site, issuer = urlsplit(settings.base_url).hostname, urlsplit(settings.issuer).hostname
    if is_loopback(site):
        yield note(
            "settings.local",
            f"This website is for this machine alone. Open it as {settings.base_url}: to a "
            "browser localhost and 127.0.0.1 are two websites, each with its own cookies.",
            "To open it to others, set AUTH_AGENT_BASE_URL to the https address that they use.",
        )
    elif is_loopback(issuer):
        yield warning(
            "settings.issuer_local",
            f"AUTH_AGENT_ISSUER is {settings.issuer}, an address of this machine: agents on "
            "other machines would look for the server on their own machine.",
            "Set it to the https address of your Auth Agent server that agents and websites use.",
        )
