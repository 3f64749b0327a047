"""Reads the environment of an agent's tools: its credentials, and its bounds.

The secret is in a variable, else in a file for its owner alone, else in the operating system's
keyring; never in an argument, which every process can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from auth_agent.errors import SettingsError
from auth_agent.sdk.identity.private_file import read_private
from auth_agent.secret import Secret

SECRET = "AUTH_AGENT_AGENT_SECRET"
SECRET_FILE = "AUTH_AGENT_AGENT_SECRET_FILE"
WEBSITES = "AUTH_AGENT_AGENT_WEBSITES"
SCOPES = "AUTH_AGENT_AGENT_SCOPES"
RESOURCES = "AUTH_AGENT_AGENT_RESOURCES"
PRIVATE_KEY = "AUTH_AGENT_AGENT_PRIVATE_KEY"
SIGNING_KEY = "AUTH_AGENT_AGENT_SIGNING_KEY"
SIGNATURE_AGENT = "AUTH_AGENT_AGENT_SIGNATURE_AGENT"
KEYRING_SERVICE = "auth-agent"

HOW = (
    f"set {SECRET}, or {SECRET_FILE} to a file that only you can read (chmod 600), or "
    f"{PRIVATE_KEY} to the path of the agent's key, or store it with: keyring set "
    f"{KEYRING_SERVICE} AGENT_ID"
)


def find_secret(environ: Mapping[str, str], agent_id: str) -> Secret | None:
    """Returns the agent's secret; raises `SettingsError` if its file is missing or not private."""
    if given := environ.get(SECRET, ""):
        return Secret(given)
    if path := environ.get(SECRET_FILE, ""):
        return _from_file(Path(path))
    return _from_keyring(agent_id)


def find_key(environ: Mapping[str, str]) -> str | None:
    """Returns the agent's private key as PEM, or its path."""
    return environ.get(PRIVATE_KEY) or None


class Signing(TypedDict):
    """The key that signs HTTP requests, and the URL by which websites know it."""

    signing_key: str | None
    signature_agent: str | None


def find_signing(environ: Mapping[str, str]) -> Signing:
    """Returns the agent's signing key (PEM, or its path) and its name as a signer."""
    return {
        "signing_key": environ.get(SIGNING_KEY) or None,
        "signature_agent": environ.get(SIGNATURE_AGENT) or None,
    }


class Bounds(TypedDict):
    """The websites, scopes and APIs that the operator allows; empty as in `Options`."""

    allowed_websites: tuple[str, ...]
    allowed_scopes: tuple[str, ...]
    allowed_resources: tuple[str, ...]


def find_bounds(environ: Mapping[str, str]) -> Bounds:
    """Returns the operator's bounds; the variables are comma separated."""
    return {
        "allowed_websites": _listed(environ.get(WEBSITES, "")),
        "allowed_scopes": _listed(environ.get(SCOPES, "")),
        "allowed_resources": _listed(environ.get(RESOURCES, "")),
    }


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _from_file(path: Path) -> Secret:
    try:
        text = read_private(path).decode("utf-8").strip()
    except FileNotFoundError:
        raise SettingsError([f"{SECRET_FILE}: there is no file {path}"]) from None
    except ValueError:
        text = ""
    if not text:
        raise SettingsError([f"{SECRET_FILE}: {path} holds no secret"])
    return Secret(text)


def _from_keyring(agent_id: str) -> Secret | None:
    """Returns None if the package, a backend or an entry is missing."""
    try:
        import keyring  # noqa: PLC0415
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    try:
        found = keyring.get_password(KEYRING_SERVICE, agent_id)
    except KeyringError:
        return None
    return Secret(found) if found else None
