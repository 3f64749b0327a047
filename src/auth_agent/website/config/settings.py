"""A website's configuration: the `AUTH_AGENT_*` environment, or a `Settings` value.

Checked at creation; every mistake is reported at once, with the name of the variable and the
remedy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from auth_agent.environment import unknown_variable, variables
from auth_agent.errors import SettingsError
from auth_agent.website.config.checks import CHECKS
from auth_agent.website.config.converters import CONVERTERS, as_text
from auth_agent.website.config.fields import Fields

ENV_PREFIX = "AUTH_AGENT_"
# Other parts of the distribution read these; every other variable with our prefix has to be a
# setting, because a mistyped AUTH_AGENT_PROTECT would leave a site open.
FOREIGN_PREFIXES = ("AUTH_AGENT_SERVER_", "AUTH_AGENT_AGENT_")


class Settings(Fields, frozen=True, kw_only=True):
    """The settings of a relying party; the names are those of the environment.

    Raises `SettingsError` with all mistakes at once. Times are in seconds.
    """

    def __post_init__(self) -> None:
        raw = {name: getattr(self, name) for name in self.__struct_fields__}
        values, problems = _convert(raw)
        for name, value in values.items():
            msgspec.structs.force_setattr(self, name, value)
        problems += [problem for name in values for problem in _problems(name, self)]
        if problems:
            raise SettingsError(problems)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Reads `AUTH_AGENT_*`; a keyword argument overrides its variable."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        unknown = []
        known = {ENV_PREFIX + name.upper(): name for name in cls.__struct_fields__}
        for variable, text in variables(environ, ENV_PREFIX, known, FOREIGN_PREFIXES):
            name = known.get(variable, "")
            if not name:
                unknown.append(unknown_variable(variable, known))
            elif text.strip():
                values[name] = text.strip()
        try:
            settings = cls(**{**values, **overrides})
        except SettingsError as error:
            raise SettingsError([*unknown, *error.problems]) from None
        if unknown:
            raise SettingsError(unknown)
        return settings


def _convert(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in raw.items():
        try:
            values[name] = CONVERTERS.get(name, as_text)(value)
        except ValueError as error:
            problems.append(f"{ENV_PREFIX}{name.upper()} {error}")
    return values, problems


def _problems(name: str, settings: Settings) -> Iterator[str]:
    check = CHECKS.get(name)
    if check is not None:
        for problem in check(settings):
            yield f"{ENV_PREFIX}{name.upper()} {problem}"
