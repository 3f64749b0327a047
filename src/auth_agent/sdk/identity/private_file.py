"""Files that hold secrets: made for their owner alone, and refused if others may read them."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from auth_agent.errors import SettingsError
from auth_agent.regular_file import read_regular

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
MAX_BYTES = 1_048_576


def read_private(path: Path) -> bytes:
    """Returns the content; raises `FileNotFoundError`, or `SettingsError` if it is not private."""
    try:
        content, status = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError([f"{path} cannot be read ({error.strerror})"]) from None
    if os.name == "posix" and status.st_mode & _OTHERS:
        raise SettingsError([f"{path} can be read or changed by other users: run chmod 600 {path}"])
    return content


def may_write(path: Path) -> bool:
    """Returns True for a file, and for a name that is free."""
    if not path.exists():
        return True
    # /dev/stdout leads to whatever the shell has opened, perhaps a file.
    is_stream = path.is_symlink() and os.readlink(path).startswith("/proc/")
    return path.is_file() and not is_stream


def write_private(path: Path, content: bytes) -> None:
    """Replaces the whole file at once; concurrent readers see the old one.

    Raises `OSError` for what is there and no file, such as /dev/stdout: for root, the new file
    would take the place of the device.
    """
    if not may_write(path):
        raise OSError(errno.EINVAL, "it is no file")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
