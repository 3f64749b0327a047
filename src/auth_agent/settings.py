"""A website's configuration: the `AUTH_AGENT_*` environment, or a `Settings` value.

Checked at birth; every mistake is reported at once, with the name of the variable and the remedy.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.setting_checks import ALGORITHMS, CHECKS, CONVERTERS, COOKIE_STORE, as_text

ENV_PREFIX = "AUTH_AGENT_"
# Other parts of the distribution read these; everything else with our prefix must be known here,
# because a mistyped AUTH_AGENT_PROTECT would leave a site open.
FOREIGN_PREFIXES = ("AUTH_AGENT_SERVER_", "AUTH_AGENT_AGENT_")


ClientAuth = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a relying party is told; the names are those of the environment.

    Raises `SettingsError` with all mistakes at once. Times are in seconds.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    secret: tuple[Secret, ...] = ()
    base_url: str = ""
    scope: str = "openid profile email"
    protect: tuple[str, ...] = ()
    prefix: str = "/auth-agent"
    audience: str | None = None
    client_auth: ClientAuth | None = None
    client_key: Secret | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    userinfo: Literal["auto", "always", "never"] = "auto"
    identity: Literal["id_token", "introspection"] = "id_token"
    bearer_recheck: int = 60
    report_only: bool = False
    session_store: Secret = COOKIE_STORE
    session_lifetime: int = 28_800
    session_idle: int = 3_600
    allow_models: tuple[str, ...] = ()
    deny_agents: tuple[str, ...] = ()

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

    @property
    def redirect_uri(self) -> str:
        return f"{self.base_url}{self.prefix}/callback"

    @property
    def store_url(self) -> str | None:
        """Where sessions are kept; None where the browser keeps them in a cookie."""
        return None if self.session_store == COOKIE_STORE else self.session_store.reveal()

    @property
    def expected_audience(self) -> str:
        """What a bearer token for this site must say."""
        return self.audience or self.base_url

    @property
    def secure(self) -> bool:
        """Whether the site is on https; otherwise it is on a loopback host."""
        return self.base_url.startswith("https:")

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())


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
