"""The headers of an MCP request: claims, used to refuse and to compare, never to admit.

An old or repeated `MCP-Protocol-Version` makes a server ignore `Mcp-Method` and `Mcp-Name`, so only
the body decides what is called.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping

import msgspec

from auth_agent.website.mcp.message import Kind, Rpc, Target

_SINGLE = (
    *(b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id"),
    b"content-encoding",  # codings are applied one after the other, and one of them is read here
)
# Any other coding than identity would show the application another body than the checked one.
_IDENTITY = ("", "identity")
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
    targets: tuple[Target, ...] = ()
    """What the method and the name together mean."""


def read_routing(headers: Collection[tuple[bytes, bytes]]) -> Routing:
    """Reads the raw header fields of an ASGI scope."""
    found = dict(headers)
    if len(found) != len(headers) or not b"".join(found).islower():
        found.clear()
        for raw_name, value in headers:
            name = raw_name.lower()
            if name in _SINGLE and name in found:
                return Routing(problem=f"The header {name.decode('latin-1')} appears twice.")
            found[name] = value
    if b"content-encoding" in found and (
        _text(found, b"content-encoding").lower() not in _IDENTITY
    ):
        return Routing(problem="The body is compressed; send it uncompressed.")
    name_value = None
    if b"mcp-name" in found:
        name_value = decode_name(_text(found, b"mcp-name"))
        if name_value is None:
            return Routing(problem="The header mcp-name cannot be decoded.")
    method = _text(found, b"mcp-method") if b"mcp-method" in found else None
    session_id = _text(found, b"mcp-session-id") if b"mcp-session-id" in found else None
    length = _text(found, b"content-length") if b"content-length" in found else ""
    kind = _KINDS.get(method or "")
    return Routing(
        method,
        name_value,
        session_id,
        int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None,
        None,
        (Target(kind, name_value),) if kind is not None and name_value is not None else (),
    )


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields[name].decode("latin-1").strip(" \t")  # RFC 9110 5.5


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
        return "A batch has no mcp-method and mcp-name; leave these headers out."
    (message,) = messages
    if routing.method is not None and routing.method != message.method:
        return "The header mcp-method differs from the method in the body."
    if routing.name is None:
        return None
    names = [target.name for target in message.targets] if message.method in _NAMED else []
    return (
        None
        if names == [routing.name]
        else "The header mcp-name differs from the name in the body."
    )
