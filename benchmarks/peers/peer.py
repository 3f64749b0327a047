"""The interface of every server in the benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.peers.client import Wire


class MissingError(Exception):
    """This machine cannot run the peer; says what is missing."""


@dataclass(frozen=True)
class Command:
    """The command of a server and its additional environment."""

    arguments: list[str]
    environ: dict[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """One row: `key` chooses it, `slowness` is how many times fewer sign-ins it gets."""

    key: str
    title: str
    slowness: int

    def command(self, folder: Path, port: int) -> Command:
        """Installs what is needed; `folder` is empty and the server's own. MissingError if not."""
        ...

    async def sign_in(self, wire: Wire) -> None: ...
