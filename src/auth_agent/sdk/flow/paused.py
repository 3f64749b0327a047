"""Paused requests of a browser: whose they are, and how each goes on. What to ask it is yielded."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

from auth_agent.sdk.flow.signer import FIELDS, Signer

MAX_FRAMES = 10_000


class Ask(NamedTuple):
    """A command to the browser: to the session that signs, or to one of a `page`."""

    method: str
    params: dict[str, Any]
    page: Any = None


Asking = Generator[Ask, Any, Any]
Pages = Callable[[], Iterable[Any]]


class Scope:
    """The frames whose requests are signed: those of one context, or all without `pages`."""

    def __init__(self, pages: Pages | None) -> None:
        self._pages = pages
        self._context = ""
        self._known: dict[str, bool] = {}

    def has(self, frame: str) -> Asking:
        """Returns True if the frame belongs to the context; asks the browser about new ones.

        While other contexts have pages, a frame inside its page's own process is not recognised.
        """
        if self._pages is None:
            return True
        if not self._context:
            self._context = yield from _context_of(self._pages())
        if frame not in self._known:
            found = yield Ask("Target.getTargets", {})
            is_ours = _is_within(frame, self._context, found["targetInfos"])
            if is_ours is None:
                return False
            if len(self._known) >= MAX_FRAMES:
                self._known.clear()
            self._known[frame] = is_ours
        return self._known[frame]


def _context_of(pages: Iterable[Any]) -> Asking:
    """Returns the id of the context that has these pages; nothing without a page."""
    for page in pages:
        found = yield Ask("Target.getTargetInfo", {}, page)
        return found["targetInfo"].get("browserContextId", "")
    return ""


def _is_within(frame: str, context: str, targets: list[dict[str, Any]]) -> bool | None:
    """Returns None for a frame or worker inside of a target, if there are several contexts."""
    contexts = {
        target["targetId"]: target.get("browserContextId")
        for target in targets
        if target["type"] in ("page", "iframe")
    }
    if frame in contexts:
        return contexts[frame] == context
    return True if set(contexts.values()) == {context} else None


def decide(event: dict[str, Any], scope: Scope, signer: Signer) -> Asking:
    """Returns how a paused request goes on: signed, if it is in the scope and may be signed."""
    if not (yield from scope.has(event.get("frameId", ""))):
        return {}
    headers = signed_headers(event["request"], signer)
    return {} if headers is None else {"headers": headers}


def signed_headers(request: dict[str, Any], signer: Signer) -> list[dict[str, str]] | None:
    """Returns all headers of a paused request with its signature; None to leave them unchanged.

    A request that must not be signed loses a signature that it has, e.g. of the hop before.
    """
    added = signer.headers(request["method"], request["url"], _body(request) or b"")
    replaced = {*FIELDS, *(name.lower() for name, _ in added)}
    kept = [pair for pair in request["headers"].items() if pair[0].lower() not in replaced]
    if not added and len(kept) == len(request["headers"]):
        return None
    return [{"name": name, "value": value} for name, value in (*kept, *added)]


def _body(request: dict[str, Any]) -> bytes | None:
    """Returns the body; None if the browser does not show all of it, e.g. of a file."""
    entries = request.get("postDataEntries", [])
    try:
        return b"".join(base64.b64decode(entry["bytes"]) for entry in entries)
    except (KeyError, binascii.Error):
        return None
