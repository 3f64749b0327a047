"""A token that was verified, and what tokens are remembered by."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TypeVar

import msgspec

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.jwks import Key
from auth_agent.website.agent import Agent
from auth_agent.website.web.outcome import NOBODY, Recognised

T = TypeVar("T")


class Known(msgspec.Struct, frozen=True):
    """A good token in the memory; an opaque one has no key."""

    recognised: Recognised
    """What the token is worth as `Bearer`: a refusal, if it is bound to a key."""
    expires_at: float
    checked_at: float
    """When it was last known not to be revoked, in ticks: when it was issued, to begin with."""
    key: Key | None
    content: bytes = b""
    """The digest of what the key has signed: the same in every spelling of the signature."""
    jkt: str | None = None
    """The thumbprint of the key that the token is bound to."""
    bound: Recognised = NOBODY
    """What the token is worth beside a proof of that key."""


def worth(agent: Agent, jkt: str | None, *, required: bool) -> tuple[Recognised, Recognised]:
    """Returns what a token is worth alone, and beside a proof of the key with this thumbprint.

    The token decides, never the scheme that it came with (RFC 9449 7.2).
    """
    if jkt is not None:
        return Recognised(None, problem=_bound()), Recognised(agent)
    if required:
        return Recognised(None, problem=unbound()), NOBODY
    return Recognised(agent), NOBODY


def unbound() -> TokenRefused:
    """Returns the refusal of a token that no key has to be proved for."""
    return TokenRefused("The token is not bound to a key (`cnf`).", code="token_unbound")


def inactive() -> TokenRefused:
    """Returns the refusal of a token that its server no longer calls active."""
    return TokenRefused("The token is not active; it may have been revoked.", code="token_inactive")


def put(memory: OrderedDict[bytes, T], digest: bytes, value: T, limit: int) -> None:
    """Remembers a value; the oldest ones are forgotten beyond the limit."""
    memory[digest] = value
    memory.move_to_end(digest)
    while len(memory) > limit:
        memory.popitem(last=False)


def content_of(token: str) -> bytes:
    """Returns the digest of what was signed (RFC 7515 5.1, step 5)."""
    return digest_of(token.rpartition(".")[0])


def digest_of(text: str) -> bytes:
    """Returns the digest that a token is remembered by."""
    return hashlib.sha256(text.encode()).digest()


def _bound() -> TokenRefused:
    return TokenRefused(
        "The token is bound to a key: send it as `Authorization: DPoP` with a proof of that key.",
        code="token_bound",
    )
