"""Sessions kept in Redis: an opaque id in the browser, everything else here, encrypted.

Flows over Redis commands, so that threads and tasks share them. What is written under an id that
has gone is not written (`XX`): a logout wins against every write in flight. Sorted sets remember
which sessions an agent, an owner and the server's own session have, each until it would expire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from auth_agent.seal import encode
from auth_agent.session import Session, is_alive
from auth_agent.site import Site
from auth_agent.wire import Flow, ask

LOCK_SECONDS = 25  # two exchanges and some; whoever dies with the lock blocks nobody for longer

_END = """
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  ended = ended + redis.call('DEL', ARGV[1] .. id)
end
redis.call('DEL', KEYS[1])
return ended
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"

_decode = msgspec.json.Decoder(Session).decode


class Store:
    """The sessions of one website."""

    def __init__(self, url: str, site: Site) -> None:
        self._url = url
        self._site = site
        settings = site.settings
        owner = _digest(settings.issuer, settings.client_id, settings.base_url)
        # In braces, so that a Redis cluster keeps all of one website's keys together.
        self._prefix = f"auth_agent:{{{owner}}}:"

    def load(self, session_id: str) -> Flow[Session | None]:
        """The session, if it is there and alive; raises `ServerUnavailable`."""
        key = self._key(session_id)
        (value,) = yield from ask(self._url, ("GET", key))
        sealed = value and self._site.seal.decrypt(
            "stored session", value.decode("ascii", "replace"), bound_to=key
        )
        if not sealed:
            return None
        try:
            session = _decode(sealed.data)
        except msgspec.MsgspecError:  # written by an older or newer release
            return None
        alive = session.id == session_id and is_alive(session, self._site, self._site.clock())
        return session if alive else None

    def create(self, session: Session) -> Flow[None]:
        now, lifetime = int(self._site.clock()), self._site.settings.session_lifetime
        member = _digest(session.id)
        commands: list[tuple[str | bytes | int, ...]] = [self._set(session)]
        for index in self._indexes(session):
            commands += [
                ("ZREMRANGEBYSCORE", index, "-inf", now),
                ("ZADD", index, now + lifetime, member),
                ("EXPIRE", index, lifetime + 60),
            ]
        yield from ask(self._url, *commands)

    def update(self, session: Session) -> Flow[bool]:
        """Whether the session was still there."""
        (answer,) = yield from ask(self._url, (*self._set(session), "XX"))
        return answer is not None

    def delete(self, session: Session) -> Flow[None]:
        member = _digest(session.id)
        commands = [("ZREM", index, member) for index in self._indexes(session)]
        yield from ask(self._url, ("DEL", self._key(session.id)), *commands)

    def end(self, kind: str, value: str = "") -> Flow[int]:
        """Ends every session of an `agent`, an `email`, a server's `sid`, or `all`: how many."""
        index = self._index(kind, value)
        (ended,) = yield from ask(self._url, ("EVAL", _END, 1, index, f"{self._prefix}session:"))
        return int(ended)

    def lock(self, session: Session, token: str) -> Flow[bool]:
        key = f"{self._prefix}lock:{_digest(session.id)}"
        (answer,) = yield from ask(self._url, ("SET", key, token, "NX", "EX", LOCK_SECONDS))
        return answer is not None

    def unlock(self, session: Session, token: str) -> Flow[None]:
        key = f"{self._prefix}lock:{_digest(session.id)}"
        yield from ask(self._url, ("EVAL", _UNLOCK, 1, key, token))

    def is_first(self, jti: str, seconds: int) -> Flow[bool]:
        """Whether this is the first time that `jti` is seen in so many seconds."""
        key = f"{self._prefix}jti:{_digest(jti)}"
        (answer,) = yield from ask(self._url, ("SET", key, 1, "NX", "EX", seconds))
        return answer is not None

    def _set(self, session: Session) -> tuple[str | bytes | int, ...]:
        key, settings = self._key(session.id), self._site.settings
        data = msgspec.json.encode(session)
        value = self._site.seal.encrypt("stored session", data, bound_to=key)
        left = session.created_at + settings.session_lifetime - int(self._site.clock())
        return "SET", key, value, "EX", max(1, min(left, settings.session_idle))

    def _key(self, session_id: str) -> str:
        """The id itself is nowhere in Redis: who reads its keys cannot become anybody."""
        return f"{self._prefix}session:{_digest(session_id)}"

    def _indexes(self, session: Session) -> Iterator[str]:
        yield self._index("all")
        yield self._index("agent", session.agent.id)
        if session.agent.email is not None:
            yield self._index("email", session.agent.email.casefold())
        if session.sid is not None:
            yield self._index("sid", session.sid)

    def _index(self, kind: str, value: str = "") -> str:
        return f"{self._prefix}{kind}:{_digest(value)}"


def _digest(*parts: str) -> str:
    return encode(hashlib.sha256(msgspec.json.encode(parts)).digest())
