"""Agents and settings for tests, with a default for everything."""

from __future__ import annotations

import difflib
import inspect
import secrets
import time
from typing import Any

import msgspec

from auth_agent.protocol.details import OWNER, enriched
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import ENV_PREFIX, Settings

ISSUER = "https://auth.example"
CLIENT_ID = "client_shop"
CLIENT_SECRET = "cs_a secret: with+signs"
BASE_URL = "http://localhost"
SECRET = "a secret for tests which protects nothing"

_LISTS = ("scopes", "permissions")


def make_agent(**fields: Any) -> Agent:
    """Returns an agent with these fields; the others have defaults. Lists may be text or lists.

    Raises `TypeError` if a field is unknown.
    """
    now = int(time.time())
    known: dict[str, Any] = {
        "id": "agent_7",
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "authenticated_at": now,
        "expires_at": now + 28_800,
        "model": "claude-opus-4",
        "email": "owner@example.com",
        "email_verified": fields.get("email", "") is not None,
        "name": "Shopping agent",
        "scopes": ("openid", "profile", "email"),
    }
    for name, value in fields.items():
        if name not in Agent.__struct_fields__:
            close = difflib.get_close_matches(name, Agent.__struct_fields__, n=1)
            hint = f"did you mean {close[0]}=?" if close else "see the fields of Agent."
            raise TypeError(f"{name}= is not a field of an agent: {hint}")
        known[name] = value.split() if name in _LISTS and isinstance(value, str) else value
    return msgspec.convert(known, Agent, strict=True)


def approved(*acts: dict[str, Any], at: int | None = None) -> dict[str, Any]:
    """Returns the claims of an approval by the owner: `make_agent(claims=approved(act))`.

    Without an act the sign-in itself is approved. `at` is the time, by default now.
    """
    claims: dict[str, Any] = {"acr": OWNER, "amr": ["pwd", "user", "hwk"]}
    if acts:
        approved_at = int(time.time()) if at is None else at
        details = enriched(acts, f"ask_{secrets.token_urlsafe(9)}", approved_at)
        claims["authorization_details"] = details
    return claims


def test_settings(**overrides: Any) -> Settings:
    """Returns settings of a website for tests; ignores the environment.

    Raises `SettingsError` if an override is wrong, as `Settings` does.
    """
    return Settings(**{**_SETTINGS, **overrides})


def test_environ(**overrides: str) -> dict[str, str]:
    """Returns the same settings as `AUTH_AGENT_*` variables, for `os.environ.update`."""
    test_settings(**overrides)
    return {f"{ENV_PREFIX}{name.upper()}": v for name, v in {**_SETTINGS, **overrides}.items()}


_SETTINGS = {
    "issuer": ISSUER,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "secret": SECRET,
    "base_url": BASE_URL,
}

# FastAPI, if it gets this as an override, would take the fields from the query.
make_agent.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
# pytest collects every name that begins with "test" in a test module, imported or not.
test_settings.__test__ = test_environ.__test__ = False  # type: ignore[attr-defined]
