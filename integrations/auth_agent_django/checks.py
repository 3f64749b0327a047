"""System checks of a website's settings.

E001 a setting is wrong     E002 a scenario lacks what it needs     E003 the backend lacks its app
W001 no middleware          W002 a setting that contradicts the scenario
W003 no settings, and a command that serves no request
I001 approvals of acts, and sessions in cookies
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.utils.module_loading import import_string

from auth_agent.errors import SettingsError
from auth_agent.website.policy.approval import are_declared
from auth_agent_django.configuration import Configuration, is_configured
from auth_agent_django.middleware import AuthAgentMiddleware

# Django's commands that serve no request and run without settings, in a build or in CI.
_OFFLINE = (
    "collectstatic", "compilemessages", "makemessages", "makemigrations", "optimizemigration",
    "showmigrations", "sqlmigrate", "squashmigrations", "test",
)  # fmt: skip
_PROGRAMS = ("manage.py", "django-admin", "django-admin.exe", "__main__.py")

ACCOUNTS_APP = "auth_agent_django.accounts"
WRONG_SETTING = "auth_agent.E001"
_WHERE = 'Set it in AUTH_AGENT in settings.py (AUTH_AGENT["ISSUER"]), or in the environment.'


def check_site(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Returns one message for each problem."""
    return [*_settings(), *_middleware(), *_backend()]


def _settings() -> Iterator[CheckMessage]:
    try:
        configuration = Configuration.read()
    except SettingsError as error:
        if is_offline_command() and not is_configured():
            yield Warning(
                "AUTH_AGENT_* is not set: this command does not need it, but the website does "
                "not start without it.",
                hint=_WHERE,
                id="auth_agent.W003",
            )
            return
        for problem in error.problems:
            what, _, remedy = problem.partition(": ")
            yield Error(what, hint=remedy or _WHERE, id=WRONG_SETTING)
        return
    if are_declared() and configuration.settings.store_url is None:
        yield Info(
            "Each worker process remembers on its own which approvals of acts were used.",
            hint=(
                'With several workers set AUTH_AGENT["SESSION_STORE"] to redis://...; otherwise '
                "each worker could do an approved act once."
            ),
            id="auth_agent.I001",
        )
    if configuration.accounts is None:
        return
    if not apps.is_installed(ACCOUNTS_APP):
        yield Error(
            'AUTH_AGENT["ACCOUNTS"] needs a table of agents.',
            hint=f'Add "{ACCOUNTS_APP}" to INSTALLED_APPS and run manage.py migrate.',
            id="auth_agent.E002",
        )
    asks_email = "email" in configuration.settings.scopes
    if asks_email == (configuration.accounts == "fresh"):
        remedy = "Remove email from" if asks_email else "Add email to"
        yield Warning(
            f'AUTH_AGENT["ACCOUNTS"] is "{configuration.accounts}", '
            f"but AUTH_AGENT_SCOPE asks for {'the' if asks_email else 'no'} e-mail address.",
            hint=f"{remedy} the scope.",
            id="auth_agent.W002",
        )


def is_offline_command() -> bool:
    """Returns True if this process is one of Django's commands that serve no request."""
    program, command = [*sys.argv, "", ""][:2]
    return Path(program).name in _PROGRAMS and command in _OFFLINE


def _middleware() -> Iterator[CheckMessage]:
    if not any(_is_ours(path) for path in settings.MIDDLEWARE):
        yield Warning(
            "AuthAgentMiddleware is missing: no agent can sign in and nothing is protected.",
            hint='Add "auth_agent_django.AuthAgentMiddleware" to MIDDLEWARE.',
            id="auth_agent.W001",
        )


def _is_ours(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:  # Django names it when it loads the middleware
        return False
    return isinstance(found, type) and issubclass(found, AuthAgentMiddleware)


def _backend() -> Iterator[CheckMessage]:
    named = any("AuthAgentBackend" in path for path in settings.AUTHENTICATION_BACKENDS)
    for app in ("django.contrib.auth", ACCOUNTS_APP):
        if named and not apps.is_installed(app):
            yield Error(
                f"AuthAgentBackend needs {app}.",
                hint=f'Add "{app}" to INSTALLED_APPS.',
                id="auth_agent.E003",
            )
