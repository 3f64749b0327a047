"""The headers of an MCP request: claims, used to refuse and to compare, never to admit.

An old or repeated `MCP-Protocol-Version` makes a server ignore `Mcp-Method` and `Mcp-Name`, so only
the body decides what is called.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from auth_agent.website.mcp.message import Kind, Rpc, Target

_SINGLE = (b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id")
_READ = frozenset((*_SINGLE, b"content-encoding", b"content-length"))
# Any other coding than identity would show the application another body than the checked one.
_IDENTITY = (None, "", "identity")
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_KINDS: dict[str, Kind] = {
    "tools/call": "tools",
    "prompts/get": "prompts",
    "resources/read": "resources",
}
_NAMED = frozenset(_KINDS)


class Routing(msgspec.Struct, frozen=True):
    """The headers' values; `problem` is the reason for refusing the request with any body."""

    method: str | None = None
    name: str | None = None
    session_id: str | None = None
    length: int | None = None
    problem: str | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        kind = _KINDS.get(self.method or "")
        return (Target(kind, self.name),) if kind is not None and self.name is not None else ()


def read_routing(headers: Iterable[tuple[bytes, bytes]]) -> Routing:
    """Reads the raw header fields of an ASGI scope."""
    found: dict[bytes, str] = {}
    for raw_name, value in headers:
        name = _wanted(raw_name)
        if name is None:
            continue
        if name in _SINGLE and name in found:
            return Routing(problem=f"The header {name.decode('latin-1')} stands twice.")
        found[name] = value.decode("latin-1").strip(" \t")  # RFC 9110 5.5
    if found.get(b"content-encoding", "").strip().lower() not in _IDENTITY:
        return Routing(problem="The body is compressed; send it as it is.")
    name_header = found.get(b"mcp-name")
    name_value = None if name_header is None else decode_name(name_header)
    if name_header is not None and name_value is None:
        return Routing(problem="The header mcp-name is not readable.")
    length = found.get(b"content-length", "")
    return Routing(
        found.get(b"mcp-method"),
        name_value,
        found.get(b"mcp-session-id"),
        int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None,
    )


@lru_cache(maxsize=256)
def _wanted(name: bytes) -> bytes | None:
    """Returns the header's name in lower case, or None for one that is not read here."""
    lower = name.lower()
    return lower if lower in _READ else None


def decode_name(value: str) -> str | None:
    """Returns the name in `Mcp-Name`, which is base64 if it is not printable ASCII."""
    sentinel = _SENTINEL.fullmatch(value)
    if sentinel is None:
        return value
    try:
        raw = base64.b64decode(sentinel[1], validate=True)
        return raw.decode("utf-8") if base64.b64encode(raw).decode() == sentinel[1] else None
    except (binascii.Error, ValueError):
        return None


def contradiction(routing: Routing, messages: tuple[Rpc, ...]) -> str | None:
    """Returns how the headers differ from the body, or None; a batch has no single method."""
    if routing.method is None and routing.name is None:
        return None
    if len(messages) != 1:
        return "mcp-method and mcp-name do not fit a batch."
    (message,) = messages
    if routing.method is not None and routing.method != message.method:
        return "mcp-method differs from the body."
    if routing.name is None:
        return None
    names = [target.name for target in message.targets] if message.method in _NAMED else []
    return None if names == [routing.name] else "mcp-name differs from the body."
