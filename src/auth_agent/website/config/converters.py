"""Conversion of each setting's text; a converter raises `ValueError` with the problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from auth_agent.environment import as_boolean
from auth_agent.protocol.jose.key_file import KeyFileShared, read_key_file
from auth_agent.secret import Secret
from auth_agent.url import normal_origin, url_problem

COOKIE_STORE = Secret("cookie")


def as_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    raise ValueError("must be text")


def _as_list(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise ValueError("must be a list or comma separated text")  # noqa: TRY004
    return tuple(item.strip() for item in items if item.strip())


def _as_scopes(value: Any) -> tuple[str, ...]:
    """Splits scopes at spaces (as in OAuth) or commas (as in the other settings)."""
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    return tuple(dict.fromkeys(_as_list(value)))


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


def _as_key(value: Any) -> Secret | None:
    """Returns a PEM text as it is, or the text of the file at a path; ValueError otherwise."""
    secret = _as_secret(value)
    if secret is None or "-----BEGIN" in secret.reveal():
        return secret
    try:
        return Secret(read_key_file(Path(secret.reveal())))
    except KeyFileShared:
        text = "is a file that other users can read or change: run chmod 600 on it"
        raise ValueError(text) from None
    except (OSError, ValueError):
        raise ValueError("is neither a PEM private key nor the path of a readable one") from None


def _as_store(value: Any) -> Secret:
    return _as_secret(value) or COOKIE_STORE


def _as_base_url(value: Any) -> str:
    text = str(as_text(value) or "")
    return normal_origin(text) if text and url_problem(text, origin=True) is None else text


def _as_optional_list(value: Any) -> tuple[str, ...] | None:
    """Returns a list, or None for no value; an empty list admits nothing."""
    return None if value is None else _as_list(value)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "client_secret": _as_secret,
    "secret": _as_secrets,
    "base_url": _as_base_url,
    "sign_in": as_boolean,
    "api_scopes": _as_scopes,
    "protect": _as_list,
    "algorithms": _as_list,
    "signatures": _as_list,
    "trusted_audiences": _as_list,
    "allow_models": _as_optional_list,
    "deny_agents": _as_list,
    "session_lifetime": _as_seconds,
    "session_idle": _as_seconds,
    "bearer_recheck": _as_seconds,
    "report_only": as_boolean,
    "dangerously_allow_cross_site": as_boolean,
    "client_key": _as_key,
    "session_store": _as_store,
}
