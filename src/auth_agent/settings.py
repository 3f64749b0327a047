"""A website's configuration: the `AUTH_AGENT_*` environment, or a `Settings` value.

Checked at birth; every mistake is reported at once, with the name of the variable and the remedy.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.url import normal_origin, url_problem

ALGORITHMS = (
    "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
)  # fmt: skip
CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
MAX_LIFETIME = 30 * 86_400
ENV_PREFIX = "AUTH_AGENT_"
# Other parts of the distribution read these; everything else with our prefix must be known here,
# because a mistyped AUTH_AGENT_PROTECT would leave a site open.
FOREIGN_PREFIXES = ("AUTH_AGENT_SERVER_", "AUTH_AGENT_AGENT_")

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 3.3


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
    client_auth: Literal["client_secret_basic", "client_secret_post", "none"] | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    userinfo: Literal["auto", "always", "never"] = "auto"
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
            values[name] = _CONVERTERS.get(name, _as_text)(value)
        except ValueError as error:
            problems.append(f"{ENV_PREFIX}{name.upper()} {error}")
    return values, problems


def _as_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    raise ValueError("must be text")


def _as_list(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise ValueError("must be a list or comma separated text")  # noqa: TRY004
    return tuple(item.strip() for item in items if item.strip())


def _as_secret(value: Any) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value) if value else None
    raise ValueError("must be text")


def _as_secrets(value: Any) -> tuple[Secret, ...]:
    items = [value] if isinstance(value, Secret) else value
    items = items.split(",") if isinstance(items, str) else items
    stripped = (item.strip() if isinstance(item, str) else item for item in items)
    return tuple(secret for item in stripped if (secret := _as_secret(item)) is not None)


def _as_seconds(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be a whole number of seconds, not {value!r}") from None


def _as_base_url(value: Any) -> str:
    text = str(_as_text(value) or "")
    return normal_origin(text) if text and url_problem(text, origin=True) is None else text


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "client_secret": _as_secret,
    "secret": _as_secrets,
    "base_url": _as_base_url,
    "protect": _as_list,
    "algorithms": _as_list,
    "allow_models": _as_list,
    "deny_agents": _as_list,
    "session_lifetime": _as_seconds,
    "session_idle": _as_seconds,
}


def _problems(name: str, settings: Settings) -> Iterator[str]:
    check = _CHECKS.get(name)
    if check is not None:
        for problem in check(settings):
            yield f"{ENV_PREFIX}{name.upper()} {problem}"


def _check_issuer(settings: Settings) -> Iterator[str]:
    if not settings.issuer:
        yield "is missing: set it to the URL of your Auth Agent server, e.g. https://auth.example"
    elif problem := url_problem(settings.issuer):
        yield problem


def _check_client_id(settings: Settings) -> Iterator[str]:
    if not settings.client_id:
        yield "is missing: register this site with `auth-agent client add` and set what it prints"


def _check_client_secret(settings: Settings) -> Iterator[str]:
    if settings.client_secret is None and settings.client_auth != "none":
        yield (
            "is missing: set what `auth-agent client add` printed, "
            "or AUTH_AGENT_CLIENT_AUTH=none for a public client"
        )


def _check_secret(settings: Settings) -> Iterator[str]:
    make = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'
    if not settings.secret:
        yield f"is missing: it protects the cookies; {make}"
    if any(len(secret.reveal()) < 32 for secret in settings.secret):
        yield f"holds a secret of fewer than 32 characters (a comma begins the next one); {make}"


def _check_base_url(settings: Settings) -> Iterator[str]:
    if not settings.base_url:
        yield "is missing: set it to the public origin of this website, e.g. https://shop.example"
    elif problem := url_problem(settings.base_url, origin=True):
        yield problem


def _check_scope(settings: Settings) -> Iterator[str]:
    if "openid" not in settings.scopes:
        yield "must contain openid: without it the server sends no ID token"
    if not all(_SCOPE.fullmatch(scope) for scope in settings.scopes):
        yield "holds a character that a scope cannot hold; separate scopes by spaces"


def _check_protect(settings: Settings) -> Iterator[str]:
    for pattern in settings.protect:
        if not pattern.startswith("/"):
            yield f"pattern {pattern!r} must begin with a slash, e.g. /private/*"


def _check_prefix(settings: Settings) -> Iterator[str]:
    if not _PREFIX.fullmatch(settings.prefix):
        yield "must be a path such as /auth-agent, without a slash at its end"


def _check_audience(settings: Settings) -> Iterator[str]:
    if settings.audience is not None and (problem := url_problem(settings.audience)):
        yield problem


def _check_client_auth(settings: Settings) -> Iterator[str]:
    if settings.client_auth not in (None, *CLIENT_AUTH_METHODS):
        yield f"must be one of {', '.join(CLIENT_AUTH_METHODS)}"


def _check_algorithms(settings: Settings) -> Iterator[str]:
    wrong = [name for name in settings.algorithms if name not in ALGORITHMS]
    if wrong or not settings.algorithms:
        yield f"may hold only {', '.join(ALGORITHMS)}; not {', '.join(wrong) or 'nothing at all'}"


def _check_userinfo(settings: Settings) -> Iterator[str]:
    if settings.userinfo not in ("auto", "always", "never"):
        yield "must be auto, always or never"


def _check_session_lifetime(settings: Settings) -> Iterator[str]:
    if not _is_lifetime(settings.session_lifetime):
        yield "must be between 60 seconds and 30 days"


def _check_session_idle(settings: Settings) -> Iterator[str]:
    lifetime = settings.session_lifetime
    longest = lifetime if _is_lifetime(lifetime) else MAX_LIFETIME
    if not 30 <= settings.session_idle <= longest:
        yield "must be at least 30 seconds and at most AUTH_AGENT_SESSION_LIFETIME"


def _is_lifetime(value: object) -> bool:
    return isinstance(value, int) and 60 <= value <= MAX_LIFETIME


_CHECKS: dict[str, Callable[[Settings], Iterator[str]]] = {
    "issuer": _check_issuer,
    "client_id": _check_client_id,
    "client_secret": _check_client_secret,
    "secret": _check_secret,
    "base_url": _check_base_url,
    "scope": _check_scope,
    "protect": _check_protect,
    "prefix": _check_prefix,
    "audience": _check_audience,
    "client_auth": _check_client_auth,
    "algorithms": _check_algorithms,
    "userinfo": _check_userinfo,
    "session_lifetime": _check_session_lifetime,
    "session_idle": _check_session_idle,
}
