"""Sessions kept in Redis: an opaque id in the browser, everything else here, encrypted.

Flows over Redis commands, so that threads and tasks share them. A record is written only over the
one that was read: what has gone stays gone, so that a logout wins against every write in flight,
and no write undoes another. Sorted sets remember which sessions an agent, an owner and the
server's own session have, each until it would expire; marks keep out sign-ins that were under way
when those were ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from auth_agent.flow.effects import Command, Flow, ask
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.secret import Discreet
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.session import Session, is_alive

LOCK_SECONDS = 25  # longer than one exchange; a crashed process blocks others so long
MARK_SECONDS = 300  # longer than a callback takes to open its session

# The count of ended sessions begins with the time, so that a count that Redis has evicted goes on
# above all marks that were made with the one before.
_COUNT = """
local count = redis.call('GET', KEYS[1])
if not count then
  local now = redis.call('TIME')
  count = string.format('%.0f', now[1] * 1000000 + now[2])
  redis.call('SET', KEYS[1], count)
end
"""
_COUNT_ENDS = _COUNT + "return count"
_CREATE = """
local now = tonumber(redis.call('TIME')[1])
for i = 2, #KEYS, 2 do
  if tonumber(redis.call('GET', KEYS[i + 1]) or 0) > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
for i = 2, #KEYS, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  redis.call('ZADD', KEYS[i], now + ARGV[4], ARGV[5])
  redis.call('EXPIRE', KEYS[i], ARGV[6])
end
return 1
"""
_UPDATE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_END = (
    """
if KEYS[2] ~= KEYS[1] and not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[3]) then return -1 end
"""
    + _COUNT
    + """
redis.call('INCR', KEYS[1])
count = redis.call('GET', KEYS[1])
local ended = 0
for i = 3, #KEYS, 2 do
  redis.call('SET', KEYS[i + 1], count, 'EX', ARGV[2])
  for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
    ended = ended + redis.call('DEL', ARGV[1] .. id)
  end
  redis.call('DEL', KEYS[i])
end
return ended
"""
)
_LOCK = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"

_decode = msgspec.json.Decoder(Session).decode


class Stored(Discreet, frozen=True):
    """A session as it lies in the store; `box` is what it is written over."""

    session: Session
    box: bytes

    def __repr__(self) -> str:
        return f"Stored({self.session!r})"


class Store:
    """The sessions of one website."""

    def __init__(self, url: str, site: Site) -> None:
        self._url = url
        self._site = site
        settings = site.settings
        owner = _digest(settings.issuer, settings.client_id, settings.base_url)
        # In braces, so that a Redis cluster keeps all of one website's keys together.
        self._prefix = f"auth_agent:{{{owner}}}:"
        self._counter = f"{self._prefix}ends"

    def load(self, session_id: str) -> Flow[Session | None]:
        """Returns the session if it is alive; raises `ServerUnavailable`."""
        stored = yield from self.fetch(session_id)
        return stored.session if stored is not None else None

    def fetch(self, session_id: str) -> Flow[Stored | None]:
        """Returns the same with its record, so that it can be updated."""
        key = self._key(session_id)
        (box,) = yield from ask(self._url, ("GET", key))
        sealed = box and self._site.seal.decrypt(
            "stored session", box.decode("ascii", "replace"), bound_to=key
        )
        if not sealed:
            return None
        try:
            session = _decode(sealed.data)
        except msgspec.MsgspecError:  # written by an older or newer release
            return None
        alive = session.id == session_id and is_alive(session, self._site, self._site.clock())
        return Stored(session, box) if alive else None

    def count_ends(self) -> Flow[int]:
        """Returns how often sessions were ended so far; `create` compares it."""
        (count,) = yield from ask(self._url, ("EVAL", _COUNT_ENDS, 1, self._counter))
        return int(count)

    def create(self, session: Session, *, since: int) -> Flow[bool]:
        """Returns False if the agent's sessions were ended after `count_ends` said `since`."""
        lifetime = self._site.settings.session_lifetime
        keys = [self._key(session.id)]
        for index in self._indexes(session):
            keys += (index, _mark(index))
        member = (lifetime, _digest(session.id), lifetime + CLOCK_SKEW)
        command: Command = (
            "EVAL",
            _CREATE,
            len(keys),
            *keys,
            since,
            *self._record(session),
            *member,
        )
        (created,) = yield from ask(self._url, command)
        return bool(created)

    def update(self, session: Session, over: Stored) -> Flow[bool]:
        """Replaces a record; returns False if another writer has changed it."""
        key = self._key(session.id)
        (written,) = yield from ask(
            self._url, ("EVAL", _UPDATE, 1, key, over.box, *self._record(session))
        )
        return bool(written)

    def delete(self, session: Session) -> Flow[None]:
        member = _digest(session.id)
        commands = [("ZREM", index, member) for index in self._indexes(session)]
        yield from ask(self._url, ("DEL", self._key(session.id)), *commands)

    def end(self, kind: str, value: str = "", *, jti: str = "", seconds: int = 0) -> Flow[int]:
        """Ends every session of an `agent`, an `email`, a server's `sid`, or `all`: how many.

        With a `jti` once only: -1 if it was seen within so many seconds.
        """
        keys = [self._counter, self._name("jti", jti) if jti else self._counter]
        for index in self._under_all_secrets(kind, value):
            keys += (index, _mark(index))
        arguments = (f"{self._prefix}session:", MARK_SECONDS, seconds)
        (ended,) = yield from ask(self._url, ("EVAL", _END, len(keys), *keys, *arguments))
        return int(ended)

    def revoke(self, content: bytes, seconds: int) -> Flow[None]:
        """Remembers a token that the server has revoked, for so many seconds."""
        names = self._under_all_secrets("revoked", content.hex())
        yield from ask(self._url, *(("SET", name, 1, "EX", seconds) for name in names))

    def is_revoked(self, content: bytes) -> Flow[bool]:
        """Returns whether any machine of this website has called `revoke`."""
        names = self._under_all_secrets("revoked", content.hex())
        answers = yield from ask(self._url, *(("EXISTS", name) for name in names))
        return any(answers)

    def spend(self, name: str, seconds: int) -> Flow[bool]:
        """Returns True the first time, on whichever machine; remembered for so many seconds."""
        key = f"{self._prefix}spent:{_digest(name)}"
        (first,) = yield from ask(self._url, ("SET", key, 1, "NX", "EX", seconds))
        return bool(first)

    def lock(self, session: Session, token: str) -> Flow[bool]:
        """Returns whether `token` holds the lock now, for another `LOCK_SECONDS`."""
        key = f"{self._prefix}lock:{_digest(session.id)}"
        (held,) = yield from ask(self._url, ("EVAL", _LOCK, 1, key, token, LOCK_SECONDS))
        return bool(held)

    def unlock(self, session: Session, token: str) -> Flow[None]:
        key = f"{self._prefix}lock:{_digest(session.id)}"
        yield from ask(self._url, ("EVAL", _UNLOCK, 1, key, token))

    def _record(self, session: Session) -> tuple[str, int]:
        """Returns the encrypted record and its lifetime in seconds."""
        settings = self._site.settings
        data = msgspec.json.encode(session)
        box = self._site.seal.encrypt("stored session", data, bound_to=self._key(session.id))
        left = session.created_at + settings.session_lifetime - int(self._site.clock())
        return box, max(1, min(left, settings.session_idle))

    def _key(self, session_id: str) -> str:
        """Returns the name of a record; Redis never holds the id, which opens the session."""
        return f"{self._prefix}session:{_digest(session_id)}"

    def _indexes(self, session: Session) -> Iterator[str]:
        """Names the indexes under every secret, for machines that lack the newest one."""
        yield from self._under_all_secrets("all", "")
        yield from self._under_all_secrets("agent", session.agent.id)
        if session.agent.email is not None:
            yield from self._under_all_secrets("email", session.agent.email.casefold())
        if session.sid is not None:
            yield from self._under_all_secrets("sid", session.sid)

    def _under_all_secrets(self, kind: str, value: str) -> Iterator[str]:
        """Names a key under every secret; by a digest, if this is an API without any."""
        if not self._site.seal.generations:
            yield f"{self._prefix}{kind}:{_digest(value)}"
        for generation in range(self._site.seal.generations):
            yield self._name(kind, value, generation)

    def _name(self, kind: str, value: str, generation: int = 0) -> str:
        """Returns the name of a key, which cannot be computed without the website's secret."""
        hidden = self._site.seal.derive(f"stored {kind}", value, generation=generation)
        return f"{self._prefix}{kind}:{hidden}"


def _mark(index: str) -> str:
    return f"{index}:ended"


def _digest(*parts: str) -> str:
    return encode(hashlib.sha256(msgspec.json.encode(parts)).digest())
