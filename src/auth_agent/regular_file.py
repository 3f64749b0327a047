"""Reads files that a program names by itself: nobody may make it wait, or fill its memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """Returns a file's content and its status, both of the same open file.

    Raises `OSError` for what is no regular file (a pipe would be waited for, a device may never
    end), and for one of more than `limit` bytes.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):  # not every system has each
        flags |= getattr(os, name, 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            number = errno.EISDIR if is_folder else errno.EINVAL
            raise OSError(number, os.strerror(number) if is_folder else "it is no regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes")
    return content, status
