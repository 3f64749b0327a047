"""A row of a room's table of routes: an address, its handler, and its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from auth_agent.server.web.call import Answer, Call, Refusal
from auth_agent.server.web.pages.render import Pages

S = TypeVar("S")  # the type that a room's handlers work with
SaysNo = Callable[[Pages, Refusal], Answer]


def oauth_json(_pages: Pages, refusal: Refusal) -> Answer:
    """Returns a refusal in the form for OAuth clients (RFC 6749 section 5.2)."""
    return refusal.answer()


@dataclass(frozen=True)
class Route(Generic[S]):
    """One method at one address.

    `cors` is `any`, `registered` or empty. A quick handler is tried on the event loop's thread
    first (`at_once.py`), so it calls `or_wait()` before anything slow. `says_no` turns a refusal
    into an answer. Without `head` the address refuses HEAD requests, which link checkers send.
    """

    method: str
    path: str
    handler: Callable[[S, Call], Answer]
    cors: str = ""
    is_quick: bool = False
    says_no: SaysNo = oauth_json
    head: bool = True

    @property
    def name(self) -> str:
        """Returns the handler's name, for logs and metrics."""
        return self.handler.__name__
