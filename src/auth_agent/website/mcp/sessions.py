"""The owners of MCP sessions: the identity that opened one, never its token."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from auth_agent.flow.kept import Guard
from auth_agent.website.agent import Agent

REMEMBERED = 20_000
MOST_OF_ONE = 1_000
"""Sessions of one agent, which so leaves room for the others, here and in the server."""
IDLE_SECONDS = 1_800  # after which servers end a session that is not used
MAX_SESSION_ID = 512

Owner = tuple[str, str] | None


class SessionOwners:
    """The sessions of one server's process; bounded, the least used are forgotten first.

    A forgotten or unknown session has no owner, so its client opens a new one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owners: OrderedDict[str, Owner] = OrderedDict()
        # The sessions of each owner, and when each was last used.
        self._used: dict[Owner, dict[str, float]] = {}
        self._lock = Guard()

    def may_open(self, agent: Agent | None) -> bool:
        """Returns False if the agent has as many sessions as one may have.

        Calls without an agent are only reported: they are of many visitors, and none is refused.
        """
        if agent is None:
            return True
        with self._lock:
            own = self._used.get(owner_of(agent), {})
            if len(own) >= MOST_OF_ONE:
                idle = self._clock() - IDLE_SECONDS
                for session_id in [one for one, used_at in own.items() if used_at <= idle]:
                    self._forget(session_id)
            return len(own) < MOST_OF_ONE

    def open(self, session_id: str, agent: Agent | None) -> None:
        """Remembers the owner of a session that the application has just named."""
        if len(session_id) > MAX_SESSION_ID:
            return
        with self._lock:
            owner = self._owners.setdefault(session_id, owner_of(agent))
            self._used.setdefault(owner, {})[session_id] = self._clock()
            while len(self._owners) > REMEMBERED:
                self._forget(next(iter(self._owners)))

    def belongs(self, session_id: str, agent: Agent | None) -> bool:
        """Returns True if this agent opened the session."""
        owner = owner_of(agent)
        with self._lock:
            if self._owners.get(session_id, _NOBODY) != owner:
                return False
            self._owners.move_to_end(session_id)
            self._used[owner][session_id] = self._clock()
            return True

    def close(self, session_id: str) -> None:
        with self._lock:
            self._forget(session_id)

    def _forget(self, session_id: str) -> None:
        owner = self._owners.pop(session_id, _NOBODY)
        own = self._used.get(owner)
        if own is not None:
            own.pop(session_id, None)
            if not own:
                del self._used[owner]


_NOBODY: Owner = ("", "")


def owner_of(agent: Agent | None) -> Owner:
    """Returns an agent's identity: its issuer and id; None for a call that is only reported."""
    return None if agent is None else (agent.issuer, agent.id)
