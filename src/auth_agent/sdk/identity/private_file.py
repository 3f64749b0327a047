"""Files that hold secrets: made for their owner alone, and refused if others may read them."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from auth_agent.errors import SettingsError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
MAX_BYTES = 1_048_576


def read_private(path: Path) -> bytes:
    """Returns the content; raises `FileNotFoundError`, or `SettingsError` if it is not private."""
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
                raise SettingsError(
                    [f"{path} may be read or changed by others than its owner: chmod 600 {path}"]
                )
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError([f"{path} cannot be read ({error.strerror})"]) from None


def write_private(path: Path, content: bytes) -> None:
    """Replaces the whole file at once; concurrent readers see the old one."""
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
