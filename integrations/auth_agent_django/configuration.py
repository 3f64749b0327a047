"""The website's `AUTH_AGENT` and environment, read into values; every mistake is named at once."""

from __future__ import annotations

import difflib
import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from asgiref.sync import iscoroutinefunction
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from auth_agent.errors import SettingsError
from auth_agent.website.config.settings import ENV_PREFIX, Settings
from auth_agent.website.events import logger

Scenario = Literal["full", "contextual", "fresh"]
SCENARIOS = ("full", "contextual", "fresh")
HOOKS = (
    "ON_SIGN_IN",
    "ON_REFUSED",
    "ON_SIGN_OUT",
    "IS_WELCOME",
    "RENDER_PAGE",
    "EMAIL_IS_VERIFIED",
    "CAN_LINK",
)
REQUIRED = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "SECRET", "BASE_URL")


class Configuration(NamedTuple):
    """`AUTH_AGENT` of the website: the core's settings by their names, and Django's own.

    `ACCOUNTS` is a scenario or None; the others are functions or dotted paths of functions.
    """

    settings: Settings
    accounts: Scenario | None
    on_sign_in: Callable[..., Any] | None
    on_refused: Callable[..., Any] | None
    on_sign_out: Callable[..., Any] | None
    is_welcome: Callable[..., Any] | None
    render_page: Callable[..., Any] | None
    email_is_verified: Callable[..., Any] | None
    can_link: Callable[..., Any] | None

    @classmethod
    def read(cls) -> Configuration:
        """Reads both; `AUTH_AGENT` overrides the environment. Raises `SettingsError`."""
        given = _given()
        problems = _unknown(given)
        accounts = given.get("ACCOUNTS")
        if accounts not in (None, *SCENARIOS):
            problems.append('AUTH_AGENT_ACCOUNTS must be "full", "contextual", "fresh" or None')
        functions = {name: _function(name, given.get(name), problems) for name in HOOKS}
        core = {name.lower(): given[name] for name in _core_names() if name in given}
        if is_test_run() and not is_configured(given):
            core = {**_settings_of_tests(), **core}
        if accounts == "fresh" and "AUTH_AGENT_SCOPE" not in os.environ:
            core.setdefault("scope", "openid profile")  # needs no e-mail
        try:
            settings = Settings.from_env(**core)
        except SettingsError as error:
            raise SettingsError([*problems, *error.problems]) from None
        if problems:
            raise SettingsError(problems)
        return cls(settings, accounts, *functions.values())


def is_configured(given: Mapping[str, Any] | None = None) -> bool:
    """Returns True if the website sets its server, its client, its secret or its address."""
    given = _given() if given is None else given
    return any(given.get(name) or os.environ.get(f"{ENV_PREFIX}{name}") for name in REQUIRED)


def is_test_run() -> bool:
    """Returns True if `manage.py test` or pytest has called Django's `setup_test_environment`."""
    utilities = sys.modules.get("django.test.utils")
    return hasattr(getattr(utilities, "_TestState", None), "saved_data")


@functools.lru_cache(maxsize=1)  # one line in the log
def _settings_of_tests() -> dict[str, Any]:
    from auth_agent.testing import test_settings  # noqa: PLC0415  # nothing of it in production

    logger.warning("AUTH_AGENT_* is not set: this test run uses auth_agent.testing.test_settings()")
    settings = test_settings()
    return {name.lower(): getattr(settings, name.lower()) for name in REQUIRED}


def _given() -> Mapping[str, Any]:
    given = getattr(django_settings, "AUTH_AGENT", {})
    if not isinstance(given, Mapping):
        raise SettingsError(["AUTH_AGENT must be a dictionary of settings"])
    return given


def _core_names() -> tuple[str, ...]:
    return tuple(name.upper() for name in Settings.__struct_fields__)


def _unknown(given: Mapping[str, Any]) -> list[str]:
    known = (*_core_names(), "ACCOUNTS", *HOOKS)
    problems = []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name).upper(), known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else "remove it or correct its name."
            problems.append(f'AUTH_AGENT["{name}"] is not a setting: {hint}')
    return problems


def _function(name: str, value: Any, problems: list[str]) -> Callable[..., Any] | None:
    """Returns a function of the website; any error while importing it is a problem."""
    if value is None:
        return None
    try:
        function: Callable[..., Any] = import_string(value) if isinstance(value, str) else value
    except Exception as error:  # noqa: BLE001  # the module is the website's
        problems.append(f"AUTH_AGENT_{name} cannot be imported: {type(error).__name__}: {error}")
        return None
    if name == "RENDER_PAGE" and iscoroutinefunction(function):
        problems.append(f"AUTH_AGENT_{name} must name a plain function, not an async one")
        return None
    if not callable(function):
        problems.append(f"AUTH_AGENT_{name} must name a function, and {value} is not one")
        return None
    return function
