"""The settings of a server: frozen, checked at creation, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auth_agent.environment import as_boolean, unknown_variable, variables
from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server.bounds import NUMBERS
from auth_agent.server.config.checks import (
    ALGORITHMS,
    APPROVALS,
    LOG_FORMATS,
    PREFIX,
    SCOPE_TOKEN,
    settings_problems,
)
from auth_agent.server.config.fields import DEFAULT_DATABASE, DEFAULT_SCOPES, Fields

__all__ = [
    "ALGORITHMS",
    "APPROVALS",
    "DEFAULT_DATABASE",
    "DEFAULT_SCOPES",
    "LOG_FORMATS",
    "PREFIX",
    "SCOPE_TOKEN",
    "VARIABLES",
    "ServerSettings",
]


class ServerSettings(Fields, frozen=True, kw_only=True):
    """The settings of a server; each field is `AUTH_AGENT_SERVER_<FIELD>` in the environment.

    Raises SettingsError with all mistakes at once.
    """

    def __post_init__(self) -> None:
        if problems := settings_problems(self):
            raise SettingsError(problems)

    def __repr__(self) -> str:
        # The database URL may hold a password, and a long repr is of no use.
        return f"ServerSettings(issuer={self.issuer!r}, secrets={self.secrets!r}, ...)"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServerSettings:
        """Reads `AUTH_AGENT_SERVER_*`; raises SettingsError with all mistakes and their remedies.

        Refuses an unknown variable: a misspelt limit would not limit anything.
        """
        problems: list[str] = []
        values: dict[str, Any] = {"issuer": ""}
        for variable, text in variables(environ, PREFIX, VARIABLES):
            field = VARIABLES.get(variable)
            if field is None:
                problems.append(unknown_variable(variable, VARIABLES))
            elif text.strip() or field in _MAY_BE_EMPTY:
                try:
                    values[field] = _CONVERTERS.get(field, str)(text.strip())
                except ValueError as error:
                    problems.append(f"{variable} {error}")
        try:
            settings = cls(**values)
        except SettingsError as error:
            raise SettingsError([*problems, *error.problems]) from None
        if problems:
            raise SettingsError(problems)
        return settings


# Variable: field. The one list of secrets has the name of a single item.
VARIABLES = {
    PREFIX + ("SECRET" if field == "secrets" else field.upper()): field
    for field in ServerSettings.__struct_fields__
}


def _as_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError("is not a number; write digits only, e.g. 600")
    return int(text)


def _as_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _as_scopes(text: str) -> tuple[str, ...]:
    """Returns the standard scopes and these, separated by spaces or commas."""
    return tuple(dict.fromkeys((*DEFAULT_SCOPES, *text.replace(",", " ").split())))


def _as_hosts(text: str) -> bool | tuple[str, ...]:
    """Reads `*`, hosts, or an empty value or a boolean, which switch documents on and off."""
    said = text.strip().lower()
    if not said:
        return False
    try:
        return ("*",) if as_boolean(said) else False
    except ValueError:
        return _as_list(said)


# An empty value counts as set: it replaces the default by nothing.
_MAY_BE_EMPTY = ("client_documents",)
_CONVERTERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(NUMBERS, _as_number),
    **dict.fromkeys(("smtp_url", "metrics_token", "redis", "registration_token"), Secret),
    **dict.fromkeys(("upstream_compat", "dpop_nonce"), as_boolean),
    "client_documents": _as_hosts,
    "secrets": lambda text: tuple(Secret(item) for item in _as_list(text)),
    "scopes": _as_scopes,
    **dict.fromkeys(("trusted_proxies", "allowed_hosts"), _as_list),
    "authorization_details_types": _as_list,
}
