"""The key directories of listed signature agents, fetched and cached by (address, key id)."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable

from auth_agent.errors import AuthError, ServerUnavailable, SignatureRefused
from auth_agent.flow.effects import Flow
from auth_agent.flow.exchange import HttpResponse, is_trouble
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.flow.kept import Guard
from auth_agent.protocol.signatures.agents import SignatureAgent
from auth_agent.protocol.signatures.directory import (
    KeyDirectory,
    directory_seconds,
    fetch_directory,
    parse_directory,
)
from auth_agent.protocol.signatures.keys import VerifyingKey
from auth_agent.protocol.snapshot import Fetched, Question, Snapshot
from auth_agent.website.events import log_event

MOST = 256  # directories in memory; one of the host that has most of them goes first
MOST_NEW = 256  # and those that have not answered yet: they take no place of one that has
UNKNOWN_SECONDS = 30  # an unknown key id fetches a fresh copy again at most once in so long
SHARE = "key directories"  # strangers' directories take no place of the Auth Agent server
OWN_SHARE = "documents of agents"  # nor of its own agents' documents
FAILED_SECONDS = (5, 10, 20, 40, 60)
MOST_PATIENCE = 300


class Directories:
    """The cache of one website. `clock` is monotonic, `now` tells the time of day.

    The agents of the website's own server (`own`, its origin) are fetched in places of their own.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], float],
        own: str,
        *,
        loopback_allowed: bool,
    ) -> None:
        self._clock = clock
        self._now = now
        self._own = own
        self._loopback_allowed = loopback_allowed
        self._known: dict[str, _Directory] = {}
        self._new: OrderedDict[str, _Directory] = OrderedDict()
        self._lock = Guard()

    def key(self, agent: SignatureAgent, keyid: str) -> Flow[VerifyingKey]:
        """Returns the agent's key; raises `SignatureRefused` if its directory has none of this id,
        `ServerUnavailable` if the directory cannot be fetched."""
        directory = self._directory(agent)
        found = yield from directory.find(keyid)
        self._keep(agent.address, directory)
        key = found.find(keyid, self._now())
        if key is None:
            raise SignatureRefused(
                "The key directory of the signature's agent holds no valid key with this keyid, "
                "which has to be the key's thumbprint (RFC 7638).",
                code="key_unknown",
            )
        return key

    def still_has(self, agent: SignatureAgent, key: VerifyingKey) -> bool:
        """Returns True while a key that has verified is in a fresh copy; does no I/O."""
        directory = self._known.get(agent.address)
        fresh = directory.snapshot.fresh if directory is not None else None
        if directory is None or fresh is None:
            return False
        directory.used_at = self._clock()
        found = fresh.find(key.keyid, self._now())
        return found is key or found == key

    def _directory(self, agent: SignatureAgent) -> _Directory:
        with self._lock:
            address = agent.address
            directory = self._known.get(address) or self._new.get(address)
            if directory is None:
                is_own = agent.origin == self._own
                directory = _Directory(agent, self._clock, self._loopback_allowed, is_own=is_own)
                self._new[address] = directory
                if len(self._new) > MOST_NEW:
                    self._new.popitem(last=False)
            directory.used_at = self._clock()
            return directory

    def _keep(self, address: str, directory: _Directory) -> None:
        """Keeps a directory that has answered, whatever else is named in signatures."""
        if self._known.get(address) is directory:
            return
        with self._lock:
            self._new.pop(address, None)
            self._known[address] = directory
            if len(self._known) > MOST:
                del self._known[self._least()]

    def _least(self) -> str:
        """Returns the one unused for longest, of the host that has most of them.

        So a host that makes up names takes the places of its own.
        """
        count = Counter(one.origin for one in self._known.values())
        most = max(count.values())
        full = [name for name, one in self._known.items() if count[one.origin] == most]
        return min(full, key=lambda name: self._known[name].used_at)


class _Directory:
    """One agent's keys. A failed fetch evicts nothing, a fetched set replaces the former one."""

    def __init__(
        self,
        agent: SignatureAgent,
        clock: Callable[[], float],
        loopback_allowed: bool,
        *,
        is_own: bool,
    ) -> None:
        self._agent = agent
        self.origin = agent.origin
        self._clock = clock
        self._loopback_allowed = loopback_allowed
        self._is_own = is_own
        share = OWN_SHARE if is_own else SHARE
        self._failures = 0
        self._retry_at = float("-inf")
        self.used_at = float("-inf")
        self.snapshot = Snapshot("keys of an agent", self._fetch, clock, share=share)
        self._unknown_key = Question(clock, UNKNOWN_SECONDS, share=share)

    def find(self, keyid: str) -> Flow[KeyDirectory]:
        """Returns the directory; fetches it again, at intervals, if it lacks the key."""
        count = self.snapshot.count
        found = yield from self.snapshot.get()
        if keyid not in found.keys and self.snapshot.count == count:
            found = yield from self._unknown_key.ask(self.snapshot, found)
        return found

    def _fetch(self) -> Flow[Fetched[KeyDirectory]]:
        left = self._retry_at - self._clock()
        if left > 0:
            raise _unavailable("The last request for it failed a moment ago.", retry_after=left)
        try:
            response = yield from self._request()
            found = Fetched(
                parse_directory(response, self._agent), directory_seconds(response.headers)
            )
        except AuthError as error:
            if error.code != "directories_busy":  # which says nothing about this one
                self._has_failed(error)
            raise
        self._failures = 0
        return found

    def _request(self) -> Flow[HttpResponse]:
        try:
            response = yield from fetch_directory(
                self._agent,
                loopback_allowed=self._loopback_allowed,
                renews=self.snapshot.is_due,
                trusted=self._is_own,
            )
        except NoPlace as refused:
            raise ServerUnavailable(
                "Too many key directories are being fetched; try again in a few seconds.",
                code="directories_busy",
                reason=str(refused),
            ) from None
        except FetchRefused as refused:
            raise _unavailable("It cannot be fetched.", reason=str(refused)) from None
        if is_trouble(response):
            wait = response.headers.get("retry-after", "")
            seconds = int(wait) if wait.isdecimal() and len(wait) < 6 else 0
            raise _unavailable(f"It answered {response.status}.", retry_after=seconds)
        return response

    def _has_failed(self, error: AuthError) -> None:
        at_least = FAILED_SECONDS[min(self._failures, len(FAILED_SECONDS) - 1)]
        asked_for = getattr(error, "retry_after", 0)
        self._failures += 1
        self._retry_at = self._clock() + min(max(at_least, asked_for), MOST_PATIENCE)
        log_event(
            "directory_failed",
            level=logging.WARNING,
            signer=self._agent.name,
            cause=error.code,
            detail=getattr(error, "reason", "") or error.description,
        )


def _unavailable(what: str, *, retry_after: float = 0, reason: str = "") -> ServerUnavailable:
    error = ServerUnavailable(
        f"The key directory of the signature's agent is not available. {what}",
        code="directory_unavailable",
        reason=reason,
    )
    error.retry_after = max(error.retry_after, int(retry_after) + 1 if retry_after else 0)
    return error
