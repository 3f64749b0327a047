"""The Host headers that a loopback server accepts.

With DNS rebinding a web page reaches the server of a developer's machine under the page's own
host name, and is then same-origin with it.
"""

from __future__ import annotations

import functools
import re

from auth_agent.server.web.call import Refusal
from auth_agent.url import is_loopback

HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_HOST = re.compile(rf"({HOST_NAME.pattern})(?::\d{{0,5}})?")
_MISDIRECTED = Refusal(
    421,
    "misdirected_request",
    "This server does not answer requests for this host (AUTH_AGENT_SERVER_ALLOWED_HOSTS)",
)


class Hosts:
    """The host names of one loopback server: its issuer's, loopback names, and those allowed."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(name.lower().strip("[]") for name in names)
        self._knows = functools.lru_cache(1_024)(self._is_known)

    def check(self, header: str) -> None:
        """Raises Refusal 421 unless the Host header names this server."""
        if not self._knows(header[:320]):
            raise _MISDIRECTED

    def _is_known(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found[1].lower().strip("[]").rstrip(".")
        return name in self._names or is_loopback(name)
