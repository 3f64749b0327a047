"""JSON-RPC messages in the body of a POST, parsed more strictly than by any server.

If two parsers read one body differently, a caller could show `tools/call` to one and something else
to the other. So every ambiguity is refused: another encoding than UTF-8, a repeated member, a name
that is not text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
REFUSED = -32001

MAX_MEMBERS = 100
"""Messages in a batch (2025-03-26); a longer one is refused."""
MAX_NAME = 4_096
"""Characters of a name or a URI, each of which is compared with every pattern in many spellings."""
_MAX_ID = 256

Kind = Literal["tools", "resources", "prompts"]
Id = str | int | None


class Target(msgspec.Struct, frozen=True):
    """An object of the server that a message uses: a tool, a resource or a prompt."""

    kind: Kind
    name: str


class Rpc(msgspec.Struct, frozen=True):
    """One message; `method` is None for an answer to the server's own request."""

    method: str | None
    targets: tuple[Target, ...] = ()
    id: Id = None


class Malformed(Exception):
    """A body that cannot be checked, and so is not passed on."""

    def __init__(self, code: int, message: str, request_id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = request_id


def read_messages(body: bytes) -> tuple[Rpc, ...]:
    """Returns every message of a body; raises `Malformed` if one of them cannot be checked."""
    document = _plain(body)
    if document is None:
        try:
            document = _STRICT.decode(body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            told = str(error) if isinstance(error, _Ambiguous) else "The body is not JSON in UTF-8."
            raise Malformed(PARSE_ERROR, told) from None
    if not isinstance(document, list):
        return (_read(document),)
    if not 0 < len(document) <= MAX_MEMBERS:
        raise Malformed(INVALID_REQUEST, f"A batch has 1 to {MAX_MEMBERS} messages.")
    return tuple(_read(member) for member in document)


def targets_of(method: str, params: object) -> tuple[Target, ...]:
    """Returns the targets of a method with these parameters; `Malformed` if it names none."""
    reader = _READERS.get(method)
    if reader is None:
        return ()
    if not isinstance(params, (dict, Mapping)):  # a dict is seen at once
        raise Malformed(INVALID_PARAMS, f"{method} needs an object as its params.")
    return tuple(reader(method, params))


def _plain(body: bytes) -> Any:
    """Returns the document of a body that can be read in one way only, else None.

    Such a body is what its own document is written as: a repeated member, an escape or a number
    with two spellings would be gone. It is the form that most clients send, and quick to check.
    """
    try:
        document = msgspec.json.decode(body)
        written = msgspec.json.encode(document)
        is_plain = written == body or written == msgspec.json.format(body, indent=-1)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return document if is_plain else None


class _Ambiguous(ValueError):
    """JSON that two parsers read differently."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a repeated member, which parsers resolve differently (RFC 8259 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Ambiguous("A name appears twice in a JSON object.")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise _Ambiguous("NaN and Infinity are not JSON.")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _read(document: object) -> Rpc:
    if not isinstance(document, dict):
        raise Malformed(INVALID_REQUEST, "A JSON-RPC message is an object.")
    request_id = _id(document.get("id"))
    method = document.get("method")
    if method is None and "method" not in document:
        if "result" in document or "error" in document:
            return Rpc(None, id=request_id)
        raise Malformed(INVALID_REQUEST, "The message has no method.", request_id)
    if not isinstance(method, str):
        raise Malformed(INVALID_REQUEST, "The method is not text.", request_id)
    try:
        return Rpc(method, targets_of(method, document.get("params")), request_id)
    except Malformed as problem:
        raise Malformed(problem.code, problem.message, request_id) from None


def _id(value: object) -> Id:
    """Returns an id that can be sent back; None, which becomes null, for any other value."""
    if isinstance(value, str) and len(value) <= _MAX_ID and value.isprintable():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    return None


def _text(method: str, params: Mapping[str, Any], member: str) -> str:
    value = params.get(member)
    if not isinstance(value, str):
        raise Malformed(INVALID_PARAMS, f"{method} needs {member} as text in its params.")
    return _bounded(method, value)


def _bounded(method: str, name: str) -> str:
    if len(name) > MAX_NAME:
        told = f"{method} names something in more than {MAX_NAME} characters."
        raise Malformed(INVALID_PARAMS, told)
    return name


def _tool(method: str, params: Mapping[str, Any]) -> tuple[Target, ...]:
    return (Target("tools", _text(method, params, "name")),)


def _prompt(method: str, params: Mapping[str, Any]) -> tuple[Target, ...]:
    return (Target("prompts", _text(method, params, "name")),)


def _resource(method: str, params: Mapping[str, Any]) -> tuple[Target, ...]:
    return (Target("resources", _text(method, params, "uri")),)


def _subscribed(method: str, params: Mapping[str, Any]) -> Iterator[Target]:
    """Returns the targets of a subscription; an empty one has none, and is left to the server."""
    if params.get("uri") is not None:
        yield from _resource(method, params)


def _completed(method: str, params: Mapping[str, Any]) -> Iterator[Target]:
    """Returns the prompt or resource that a completion belongs to and may reveal."""
    reference = params.get("ref")
    if not isinstance(reference, Mapping):
        raise Malformed(INVALID_PARAMS, f"{method} needs ref as an object in its params.")
    readers = [
        reader
        for member, reader in (("name", _prompt), ("uri", _resource))
        if reference.get(member) is not None
    ]
    if not readers:
        raise Malformed(INVALID_PARAMS, f"{method} names neither a prompt nor a resource.")
    for reader in readers:
        yield from reader(method, reference)


def _listened(method: str, params: Mapping[str, Any]) -> Iterator[Target]:
    """Returns the resources whose changes a stream reports."""
    wanted = params.get("notifications")
    uris = wanted.get("resourceSubscriptions") if isinstance(wanted, Mapping) else None
    if uris is None:
        return
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise Malformed(INVALID_PARAMS, f"{method} needs resourceSubscriptions as a list of URIs.")
    if len(uris) > MAX_MEMBERS:
        raise Malformed(INVALID_PARAMS, f"{method} names more than {MAX_MEMBERS} resources.")
    yield from (Target("resources", _bounded(method, uri)) for uri in uris)


_READERS = {
    "tools/call": _tool,
    "prompts/get": _prompt,
    "resources/read": _resource,
    "resources/subscribe": _subscribed,
    "resources/unsubscribe": _subscribed,
    "completion/complete": _completed,
    "subscriptions/listen": _listened,
}


def all_targets(messages: Sequence[Rpc]) -> tuple[Target, ...]:
    if len(messages) == 1:
        return messages[0].targets
    return tuple(target for message in messages for target in message.targets)
