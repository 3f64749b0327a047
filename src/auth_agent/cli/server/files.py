"""Files that commands write, so that nobody copies values: variables and private keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

_NAME = re.compile(r"^\s*(?:export\s+)?(\w+)\s*=", re.MULTILINE)
_BARE = re.compile(r"[\w.:/@%+,=-]*")


class EnvironmentFile:
    """A file of `NAME=value` lines that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, *names: str) -> None:
        """Raises ValueError if these lines could not be added; nothing has been changed by then."""
        _check_folder(self.path)
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; name a file")
        set_already = _NAME.findall(self._text())
        if taken := [name for name in names if name in set_already]:
            raise ValueError(
                f"{self.path} sets {', '.join(taken)} already; remove that or name another file"
            )

    def add(self, values: Mapping[str, str]) -> None:
        """Adds the lines and makes the file private (mode 0600)."""
        text = self._text()
        if text and not text.endswith("\n"):
            text += "\n"
        lines = (f"{name}={_quoted(value)}\n" for name, value in values.items())
        write_private(self.path, text + "".join(lines))

    def _text(self) -> str:
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"{self.path} cannot be read; name another file") from None


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step."""
    from auth_agent.sdk.identity.private_file import write_private as write  # noqa: PLC0415

    try:
        write(path, text.encode())
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None


def website_environment(
    issuer: str, client_id: str, secret: str | None, redirect_uri: str, scopes: str | None
) -> dict[str, str]:
    """Returns the variables that a website with this client needs."""
    from auth_agent.server.security.credentials import new_token  # noqa: PLC0415

    parts = urlsplit(redirect_uri)
    prefix = parts.path.removesuffix("/callback")
    values = {"AUTH_AGENT_ISSUER": issuer, "AUTH_AGENT_CLIENT_ID": client_id}
    if secret is not None:
        values["AUTH_AGENT_CLIENT_SECRET"] = secret
    values["AUTH_AGENT_SECRET"] = new_token("", 48)
    values["AUTH_AGENT_BASE_URL"] = f"{parts.scheme}://{parts.netloc}"
    if prefix not in (parts.path, "/auth-agent"):
        values["AUTH_AGENT_PREFIX"] = prefix
    if scopes is not None:
        values["AUTH_AGENT_SCOPE"] = scopes
    return values


def agent_environment(
    issuer: str, agent_id: str, model: str, secret: str | None, key: Path | None
) -> dict[str, str]:
    """Returns the variables by which an agent's tools know who it is."""
    values = {"AUTH_AGENT_AGENT_ID": agent_id, "AUTH_AGENT_AGENT_ISSUER": issuer}
    if model:
        values["AUTH_AGENT_AGENT_MODEL"] = model
    if secret is not None:
        values["AUTH_AGENT_AGENT_SECRET"] = secret
    if key is not None:
        values["AUTH_AGENT_AGENT_PRIVATE_KEY"] = str(key.absolute())
    return values


def new_key_pair(path: Path) -> tuple[str, str]:
    """Returns a new Ed25519 key and its public half as PEM; ValueError if `path` is taken."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    _check_folder(path)
    if path.exists():
        raise ValueError(f"{path} exists already and is not overwritten; name another file")
    key, pem = Ed25519PrivateKey.generate(), form.Encoding.PEM
    private = key.private_bytes(pem, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(pem, form.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}; make it first")


def _quoted(value: str) -> str:
    """Returns the value as shells and readers of .env files take it; ids and URLs stay bare."""
    return value if _BARE.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"
