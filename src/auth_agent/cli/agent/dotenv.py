"""The `.env` of the current folder, where `agent add --env .env` writes an agent's identity.

It is used as a whole or not at all, and only if no other user can read it: a folder from elsewhere
must not send this machine's credentials to a server of its own choice.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from auth_agent.regular_file import read_regular

PREFIX = "AUTH_AGENT_AGENT_"
_IDENTITY = tuple(
    PREFIX + part
    for part in (
        *("ID", "ISSUER", "SECRET", "SECRET_FILE", "PRIVATE_KEY"),
        *("SIGNING_KEY", "SIGNATURE_AGENT"),
    )
)
# A file may not name the path of a secret: the secret would go to the file's issuer.
_FORBIDDEN = PREFIX + "SECRET_FILE"
_TRIMMED = (PREFIX, "AUTH_AGENT_SERVER_")
MAX_BYTES = 65_536


def trim(environ: MutableMapping[str, str]) -> None:
    """Removes blanks and line breaks around the values of our variables, as settings do.

    A value that was read from a file, or a Kubernetes secret, mostly ends with a line break. A
    person's password stays as it is.
    """
    for name in [name for name in environ if name.startswith(_TRIMMED)]:
        environ[name] = environ[name].strip()


def add_identity(environ: MutableMapping[str, str], path: Path) -> str | None:
    """Adds the agent's variables in `path`, unless `environ` already names an agent.

    Returns one line about what was done, for stderr, or None.
    """
    if any(environ.get(name) for name in _IDENTITY):
        return None
    try:
        content, status = read_regular(path, MAX_BYTES)
    except OSError as error:
        is_odd = error.errno in (errno.EINVAL, errno.EFBIG)  # not merely missing
        return f"{path} is ignored: {error.strerror}" if is_odd else None
    is_private = os.name != "posix" or _is_private(status)
    found = _read(content)
    if not found:
        return None
    if not is_private:
        return (
            f"{path} is ignored: other users can read it, or it belongs to another user (run "
            f"chmod 600 {path})"
        )
    if problem := _problem(found):
        return f"{path} is ignored: {problem}"
    for name, value in found.items():
        environ.setdefault(name, value)
    return f"Using the agent of {path}"


def _is_private(status: os.stat_result) -> bool:
    is_ours = status.st_uid == os.geteuid()
    return is_ours and not status.st_mode & 0o077


def _problem(found: Mapping[str, str]) -> str | None:
    if _FORBIDDEN in found:
        return f"it must not set {_FORBIDDEN}"
    if not found.get(PREFIX + "SECRET") and not found.get(PREFIX + "PRIVATE_KEY"):
        return f"{PREFIX}ISSUER needs {PREFIX}SECRET or {PREFIX}PRIVATE_KEY in the same file"
    return None


def _read(content: bytes) -> dict[str, str]:
    """Returns the agent's variables; skips other lines."""
    found = {}
    for line in content.replace(b"\0", b"").decode("utf-8", "replace").splitlines():
        name, is_assignment, rest = line.strip().removeprefix("export ").partition("=")
        if not is_assignment or not name.strip().startswith(PREFIX):
            continue
        try:
            found[name.strip()] = "".join(shlex.split(rest, comments=True)[:1])
        except ValueError:  # an unclosed quotation mark
            continue
    return found
