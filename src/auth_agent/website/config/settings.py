"""A website's configuration: the `AUTH_AGENT_*` environment, or a `Settings` value.

Checked at birth; every mistake is reported at once, with the name of the variable and the remedy.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.website.config.checks import CHECKS
from auth_agent.website.config.converters import CONVERTERS, as_text
from auth_agent.website.config.fields import Fields

ENV_PREFIX = "AUTH_AGENT_"
# Other parts of the distribution read these; everything else with our prefix must be known here,
# because a mistyped AUTH_AGENT_PROTECT would leave a site open.
FOREIGN_PREFIXES = ("AUTH_AGENT_SERVER_", "AUTH_AGENT_AGENT_")


class Settings(Fields, frozen=True, kw_only=True):
    """Everything that a relying party is told; the names are those of the environment.

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
        """Read `AUTH_AGENT_*`; a keyword argument wins over its variable."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        unknown = []
        for variable, text in environ.items():
            if not variable.startswith(ENV_PREFIX) or variable.startswith(FOREIGN_PREFIXES):
                continue
            name = variable[len(ENV_PREFIX) :].lower()
            if name not in cls.__struct_fields__:
                unknown.append(_unknown(variable, cls.__struct_fields__))
            elif text.strip():
                values[name] = text.strip()
        try:
            settings = cls(**{**values, **overrides})
        except SettingsError as error:
            raise SettingsError([*unknown, *error.problems]) from None
        if unknown:
            raise SettingsError(unknown)
        return settings


def _unknown(variable: str, names: tuple[str, ...]) -> str:
    known = [ENV_PREFIX + name.upper() for name in names]
    close = difflib.get_close_matches(variable, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "remove it or correct its name."
    return f"{variable} is not a setting: {hint}"


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
