"""Files that commands write, so that values need not be copied: variables and private keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"^\s*(?:export\s+)?(\w+)\s*=", re.MULTILINE)


class EnvironmentFile:
    """A file of `NAME=value` lines that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, *names: str) -> None:
        """Raises ValueError if these lines cannot be added; changes nothing."""
        from auth_agent.sdk.identity.private_file import may_write  # noqa: PLC0415

        _check_folder(self.path)
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; name a file")
        if not may_write(self.path):
            raise ValueError(f"{self.path} is no file; name one")
        set_already = _NAME.findall(self._text())
        if taken := [name for name in names if name in set_already]:
            raise ValueError(
                f"{self.path} sets {', '.join(taken)} already; remove that line or name "
                "another file"
            )

    def add(self, values: Mapping[str, str]) -> None:
        """Adds the lines and makes the file private (mode 0600)."""
        text = self._text()
        if text and not text.endswith("\n"):
            text += "\n"
        from auth_agent.server.registry.variables import as_lines  # noqa: PLC0415

        write_private(self.path, text + as_lines(values))

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
