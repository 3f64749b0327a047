"""Signed requests: the agent behind a signature, remembered until the signature expires.

A signature is checked once for as many requests that are the same; one that changes something, or
opens a WebSocket, is checked every time, because its nonce counts once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable, SignatureIgnored, SignatureRefused
from auth_agent.flow.effects import Flow
from auth_agent.flow.kept import Guard
from auth_agent.protocol.signatures.agents import SignatureAgent
from auth_agent.protocol.signatures.bounds import SAFE_METHODS, TAG
from auth_agent.protocol.signatures.fields import Signed, check_size, read_agents, read_signatures
from auth_agent.protocol.signatures.keys import VerifyingKey
from auth_agent.protocol.signatures.message import Message
from auth_agent.protocol.signatures.verify import (
    agent_member,
    check_profile,
    check_times,
    verify_signature,
)
from auth_agent.url import normal_origin
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.signatures.directories import Directories
from auth_agent.website.recognition.signatures.names import Named, Names
from auth_agent.website.recognition.signatures.nonces import Nonces
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import Recognised
from auth_agent.website.web.visit import Visit

MAX_REMEMBERED = 4_096
MAX_KEPT = 2_048
"""Characters of the three fields of a signature that is remembered; usual ones have 700."""

_NOT_TAGGED = SignatureIgnored(
    f'No signature of this request has the tag "{TAG}".', code="tag_missing"
)


class _Fields(NamedTuple):
    """The three headers of a signed request."""

    inputs: str | None
    signatures: str | None
    agents: str | None


class _Known(msgspec.Struct, frozen=True):
    """A signature that has verified; `covered` names the headers that were signed with it, and
    `values` is the digest of what they held."""

    recognised: Recognised
    expires_at: float
    agent: SignatureAgent
    key: VerifyingKey
    covered: tuple[str, ...]
    values: bytes


class Signatures:
    """The signatures that this process has seen; bounded, the oldest go first."""

    def __init__(self, site: Site, store: Store | None = None) -> None:
        self._site = site
        self._names = Names(site.settings)
        own, loopback_allowed = normal_origin(site.settings.issuer), self._names.loopback_allowed
        self._directories = Directories(
            site.ticks, site.clock, own, loopback_allowed=loopback_allowed
        )
        self._nonces = Nonces(store, site.ticks)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = Guard()

    def recognise(self, visit: Visit) -> Recognised | Flow[Recognised]:
        """Returns at once what is remembered: the hot path; call it if `is_signed(visit)`."""
        fields = _fields_of(visit)
        digest = _digest(visit, fields)
        known = self._known.get(digest)
        if known is not None and not visit.is_handshake and self._is_good(known, visit):
            return known.recognised
        return self._ask(visit, fields, digest)

    def is_published(self, visit: Visit, agent: Agent) -> Flow[bool]:
        """Returns False if no directory holds the key of this agent's signature any more.

        For a visit whose signature has been checked, which is not done again: a nonce counts once.
        """
        fields = _fields_of(visit)
        agents = read_agents(fields.agents)
        for signed in read_signatures(fields.inputs, fields.signatures, tag=TAG):
            try:
                named = self._names.read(agent_member(signed, agents))
                if (named.issuer, named.id) != (agent.issuer, agent.id):
                    continue
                yield from self._directories.key(named.agent, signed.params["keyid"])
            except SignatureRefused:
                continue
            except ServerUnavailable:  # which takes nothing away
                return True
            return True
        return False

    def _is_good(self, known: _Known, visit: Visit) -> bool:
        return (
            self._site.clock() < known.expires_at
            and (not known.covered or _digest_of(visit, known.covered) == known.values)
            and self._directories.still_has(known.agent, known.key)
        )

    def _ask(self, visit: Visit, fields: _Fields, digest: bytes) -> Flow[Recognised]:
        """Returns the agent of the first signature that verifies; checks each on its own."""
        problem: AuthError = _NOT_TAGGED
        try:
            check_size(*fields)
            signatures = read_signatures(fields.inputs, fields.signatures, tag=TAG)
            agents = read_agents(fields.agents) if signatures else {}
        except SignatureRefused as refused:
            return Recognised(None, problem=refused)
        for signed in signatures:
            try:
                return (yield from self._verify(visit, fields, signed, agents, digest))
            except (SignatureRefused, ServerUnavailable) as error:
                # What could not be decided weighs more than what is wrong.
                if isinstance(problem, SignatureIgnored) or isinstance(error, ServerUnavailable):
                    problem = error
        return Recognised(None, problem=problem)

    def _verify(
        self,
        visit: Visit,
        fields: _Fields,
        signed: Signed,
        agents: Mapping[str, str],
        digest: bytes,
    ) -> Flow[Recognised]:
        opens = visit.is_handshake
        check_profile(
            signed,
            method=visit.method,
            now=self._site.clock(),
            is_handshake=opens,
            has_query=bool(visit.query),
        )
        named = self._names.read(agent_member(signed, agents))
        key = yield from self._directories.key(named.agent, signed.params["keyid"])
        now = self._site.clock()  # the fetch may have taken its time
        check_times(signed, now)
        settings = self._site.settings
        message = Message(
            visit.method, settings.base_url, visit.raw_path, visit.query or None, visit.header
        )
        verify_signature(message, signed, key)
        found = Recognised(_agent_of(signed, named, now))
        if opens or visit.method not in SAFE_METHODS:
            yield from self._nonces.spend(named, signed.params["nonce"])
            return found
        if sum(len(field or "") for field in fields) > MAX_KEPT:
            return found
        covered = _covered_headers(signed)
        values = _digest_of(visit, covered)
        known = _Known(found, signed.params["expires"], named.agent, key, covered, values)
        self._remember(digest, known)
        return found

    def _remember(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            self._known[digest] = known
            self._known.move_to_end(digest)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)


def _fields_of(visit: Visit) -> _Fields:
    names = ("signature-input", "signature", "signature-agent")
    return _Fields(*(visit.header(name) for name in names))


def is_signed(visit: Visit) -> bool:
    """Returns whether the visit brings a signature, of whatever kind."""
    return visit.header("signature-input") is not None or visit.header("signature") is not None


def _digest(visit: Visit, fields: _Fields) -> bytes:
    """Digests fields, method and target: with the covered headers, all that can be signed."""
    return _digest_all([visit.method, visit.target, *[field or "" for field in fields]])


def _covered_headers(signed: Signed) -> tuple[str, ...]:
    names = {one.name for one in signed.components if not one.name.startswith("@")}
    return tuple(sorted(names - {"signature-agent"}))


def _digest_of(visit: Visit, names: tuple[str, ...]) -> bytes:
    values = [visit.header(name) for name in names]
    return _digest_all(["" if value is None else f"={value}" for value in values])


def _digest_all(parts: list[str]) -> bytes:
    """Digests texts with their lengths, which keep two lists of texts apart."""
    text = " ".join([*[str(len(part)) for part in parts], *parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _agent_of(signed: Signed, named: Named, now: float) -> Agent:
    """Returns an agent without scope, e-mail and model: a signature proves a name, no more."""
    return Agent(
        id=named.id,
        issuer=named.issuer,
        client_id="",
        authenticated_at=min(signed.params["created"], int(now)),
        expires_at=signed.params["expires"],
        via="signature",
    )
