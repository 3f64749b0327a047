"""An agent's tokens: stored, counted as expired a minute early, and never shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from auth_agent.errors import ServerMisbehaved, SettingsError
from auth_agent.flow.kept import Guard
from auth_agent.sdk.flow.frames import emptied_frames
from auth_agent.sdk.identity.private_file import read_private, write_private
from auth_agent.sdk.results import TokenResponse, read

EARLY_SECONDS = 60


class _Kept(msgspec.Struct, frozen=True):
    """One snapshot; `expires_at` is in seconds since 1970."""

    tokens: TokenResponse
    expires_at: float


class _Stored(msgspec.Struct, frozen=True):
    tokens: dict[str, Any]
    expires_at: float

    def __repr__(self) -> str:
        return "_Stored(...)"


class TokenManager:
    """Holds the tokens of one agent, for any number of threads and tasks.

    With a `path` they outlive the process, in a file that only its owner may read; a file that
    others may read raises `SettingsError`. `clock` gives seconds since 1970.
    """

    def __init__(
        self, *, path: Path | str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = None if path is None else Path(path)
        self._clock = clock
        self._lock = Guard()
        # One assignment replaces the snapshot, so that readers need no lock.
        self._kept: _Kept | None = None
        if self._path is not None:
            with emptied_frames():
                self._kept = _load(self._path)

    def set_tokens(self, tokens: TokenResponse | Mapping[str, Any]) -> None:
        """Replaces the tokens; the time until expiry counts from now."""
        try:
            with emptied_frames():
                found = tokens if isinstance(tokens, TokenResponse) else read(TokenResponse, tokens)
        finally:
            del tokens  # a traceback would show them
        self._keep(_Kept(found, self._clock() + found.expires_in))

    def clear(self) -> None:
        self._keep(None)

    def is_expired(self) -> bool:
        """Returns True if no access token is valid for another minute."""
        kept = self._kept
        return kept is None or self._clock() >= kept.expires_at - EARLY_SECONDS

    def get_access_token(self) -> str | None:
        """Returns the access token if it is valid for another minute, else None."""
        kept = self._kept
        if kept is None or self._clock() >= kept.expires_at - EARLY_SECONDS:
            return None
        return kept.tokens.access_token

    @property
    def access_token(self) -> str | None:
        """Returns the stored access token, expired or not."""
        kept = self._kept
        return None if kept is None else kept.tokens.access_token

    @property
    def is_bound(self) -> bool:
        """Returns True if the access token is of use only with a proof of its key (DPoP)."""
        kept = self._kept
        return kept is not None and kept.tokens.token_type.lower() == "dpop"

    @property
    def outlives_process(self) -> bool:
        """Returns True if the tokens are kept in a file."""
        return self._path is not None

    @property
    def refresh_token(self) -> str | None:
        kept = self._kept
        return None if kept is None else kept.tokens.refresh_token

    @property
    def id_token(self) -> str | None:
        kept = self._kept
        return None if kept is None else kept.tokens.id_token

    def __repr__(self) -> str:
        state = "empty" if self._kept is None else "expired" if self.is_expired() else "good"
        return f"TokenManager({state})"

    def _keep(self, kept: _Kept | None) -> None:
        with self._lock, emptied_frames():
            self._kept = kept  # first: a full disk must not cost a rotated token
            if self._path is not None:
                _store(self._path, kept)


def _store(path: Path, kept: _Kept | None) -> None:
    if kept is None:
        path.unlink(missing_ok=True)
        return
    stored = _Stored(kept.tokens.to_dict(), kept.expires_at)
    write_private(path, msgspec.json.encode(stored))


def _load(path: Path) -> _Kept | None:
    try:
        content = read_private(path)
    except FileNotFoundError:
        return None
    try:
        stored = msgspec.json.decode(content, type=_Stored)
        return _Kept(read(TokenResponse, stored.tokens), stored.expires_at)
    except (ValueError, RecursionError, ServerMisbehaved):
        raise SettingsError([f"{path} holds no tokens; remove it, and sign in again"]) from None
