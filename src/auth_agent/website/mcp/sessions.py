"""The owners of MCP sessions: the identity that opened one, never its token."""

from __future__ import annotations

from collections import OrderedDict

from auth_agent.flow.kept import Guard
from auth_agent.website.agent import Agent

REMEMBERED = 20_000
MAX_SESSION_ID = 512

Owner = tuple[str, str] | None


class SessionOwners:
    """The sessions of one server's process; bounded, the least used are forgotten first.

    A forgotten or unknown session has no owner, so its client opens a new one.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[str, Owner] = OrderedDict()
        self._lock = Guard()

    def open(self, session_id: str, agent: Agent | None) -> None:
        """Remembers the owner of a session that the application has just named."""
        if len(session_id) > MAX_SESSION_ID:
            return
        with self._lock:
            self._owners.setdefault(session_id, owner_of(agent))
            while len(self._owners) > REMEMBERED:
                self._owners.popitem(last=False)

    def belongs(self, session_id: str, agent: Agent | None) -> bool:
        """Returns True if this agent opened the session."""
        with self._lock:
            if self._owners.get(session_id, _NOBODY) != owner_of(agent):
                return False
            self._owners.move_to_end(session_id)
            return True

    def close(self, session_id: str) -> None:
        with self._lock:
            self._owners.pop(session_id, None)


_NOBODY: Owner = ("", "")


def owner_of(agent: Agent | None) -> Owner:
    """Returns an agent's identity: its issuer and id; None for a call that is only reported."""
    return None if agent is None else (agent.issuer, agent.id)
