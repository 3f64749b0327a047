"""The secret of a server on a loopback address, kept beside its SQLite file."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from auth_agent.errors import SettingsError
from auth_agent.regular_file import read_regular
from auth_agent.secret import Secret
from auth_agent.server.settings import ServerSettings

MAX_BYTES = 65_536


def server_secrets(settings: ServerSettings, *, has_keys: bool = False) -> tuple[Secret, ...]:
    """Returns the configured secrets, or the one kept beside the database.

    Creates the file if it is missing. Raises SettingsError if the database already has keys, which
    only their own secret opens, or if the file cannot be written.
    """
    if settings.secrets:
        return settings.secrets
    path = secret_path(settings.database)
    if path is None:
        # A database in memory ends with the process, so its secret may, too.
        return (Secret(secrets.token_urlsafe(32)),)
    if has_keys and not path.exists():
        raise SettingsError(
            [
                "AUTH_AGENT_SERVER_SECRET is missing, and the signing keys in this database need "
                f"the one that they were made with; set it, or put {path} back"
            ]
        )
    try:
        return (_kept(path),)
    except OSError as error:
        raise SettingsError(
            [
                f"the server's secret cannot be written to {path} ({error.strerror}); make the "
                "folder writable or set AUTH_AGENT_SERVER_SECRET"
            ]
        ) from None


def secret_path(database: str) -> Path | None:
    """Returns the path of the secret for an SQLite file; None for a database in memory."""
    name = unquote(urlsplit(database).path)[1:]
    return None if name in ("", ":memory:") else Path(name + ".secret")


def _kept(path: Path) -> Secret:
    if not path.exists():
        _make(path)
    content, status = read_regular(path, MAX_BYTES)
    if os.name == "posix" and status.st_mode & 0o077:
        raise SettingsError([f"{path} can be read or changed by other users: run chmod 600 {path}"])
    value = content.decode(errors="replace").strip()
    if len(value) < 32 or "\N{REPLACEMENT CHARACTER}" in value:
        raise SettingsError(
            [(f"{path} contains no usable secret; remove the file and start the server again")]
        )
    return Secret(value)


def _make(path: Path) -> None:
    """Writes the whole file before it gets its name, so that two starting workers agree on one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        os.unlink(name)
