"""The environment variables of a website and of an agent, ready to paste."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from auth_agent.server.security.credentials import new_token

_BARE = re.compile(r"[\w.:/@%+,=-]*")


def website_variables(
    issuer: str, client_id: str, secret: str | None, redirect_uri: str, scopes: str
) -> dict[str, str]:
    """Returns the variables that a website with this client needs.

    Leaves the scopes out if the website would ask for the same ones by default.
    """
    parts = urlsplit(redirect_uri)
    prefix = parts.path.removesuffix("/callback")
    values = {"AUTH_AGENT_ISSUER": issuer, "AUTH_AGENT_CLIENT_ID": client_id}
    if secret is not None:
        values["AUTH_AGENT_CLIENT_SECRET"] = secret
    values["AUTH_AGENT_SECRET"] = new_token("", 48)
    values["AUTH_AGENT_BASE_URL"] = f"{parts.scheme}://{parts.netloc}"
    if prefix not in (parts.path, "/auth-agent"):
        values["AUTH_AGENT_PREFIX"] = prefix
    if set(scopes.split()) - {"openid", "profile", "email"}:
        values["AUTH_AGENT_SCOPE"] = scopes
    return values


def agent_variables(
    issuer: str,
    agent_id: str,
    *,
    model: str,
    secret: str | None = None,
    key: str | None = None,
    signing_key: str | None = None,
) -> dict[str, str]:
    """Returns the variables that identify an agent to its tools."""
    values = {"AUTH_AGENT_AGENT_ID": agent_id, "AUTH_AGENT_AGENT_ISSUER": issuer}
    if model:
        values["AUTH_AGENT_AGENT_MODEL"] = model
    if secret is not None:
        values["AUTH_AGENT_AGENT_SECRET"] = secret
    if key is not None:
        values["AUTH_AGENT_AGENT_PRIVATE_KEY"] = key
    if signing_key is not None:
        values["AUTH_AGENT_AGENT_SIGNING_KEY"] = signing_key
    return values


def as_lines(values: Mapping[str, str]) -> str:
    """Returns `NAME=value` lines for shells and .env files."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    """Quotes a value for shells and .env files; leaves ids and URLs bare."""
    return value if _BARE.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"
