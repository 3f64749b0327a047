"""Files that hold private keys: refused if others than their owner may read or change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from auth_agent.regular_file import read_regular

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LARGEST = 65_536  # bytes


class KeyFileShared(Exception):
    """Others than the owner of a private key may read or change its file."""


def read_key_file(path: Path) -> str:
    """Returns the text of a file; raises `KeyFileShared`, `OSError`, or `ValueError` if not ASCII.

    The mode is looked at only if the file holds a private key: anything else is no secret, and is
    refused for what it is.
    """
    content, status = read_regular(path, _LARGEST)
    text = content.decode("ascii")
    if os.name == "posix" and status.st_mode & _OTHERS and "PRIVATE KEY-----" in text:
        raise KeyFileShared
    return text
