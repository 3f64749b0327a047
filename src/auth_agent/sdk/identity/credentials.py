"""Where a program finds an agent's secret: never in an argument, which every process can read.

The environment variable, else a file for its owner alone, else the operating system's keyring.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auth_agent.errors import SettingsError
from auth_agent.sdk.identity.private_file import read_private
from auth_agent.secret import Secret

SECRET = "AUTH_AGENT_AGENT_SECRET"
SECRET_FILE = "AUTH_AGENT_AGENT_SECRET_FILE"
PRIVATE_KEY = "AUTH_AGENT_AGENT_PRIVATE_KEY"
KEYRING_SERVICE = "auth-agent"

HOW = (
    f"set {SECRET}, or {SECRET_FILE} to a file for its owner alone (chmod 600), or {PRIVATE_KEY} "
    f"to the path of the agent's key, or store it with: keyring set {KEYRING_SERVICE} AGENT_ID"
)


def find_secret(environ: Mapping[str, str], agent_id: str) -> Secret | None:
    """The agent's secret; raises `SettingsError` for a file that is not private or not there."""
    if given := environ.get(SECRET, ""):
        return Secret(given)
    if path := environ.get(SECRET_FILE, ""):
        return _from_file(Path(path))
    return _from_keyring(agent_id)


def find_key(environ: Mapping[str, str]) -> str | None:
    """The agent's private key as PEM, or its path."""
    return environ.get(PRIVATE_KEY) or None


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
    """None where the package, a backend or an entry is missing."""
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
