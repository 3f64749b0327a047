"""Which signature agents the website lists, and who each of them is."""

from __future__ import annotations

import functools
from typing import NamedTuple

from auth_agent.errors import SignatureIgnored
from auth_agent.protocol.signatures.agents import Pattern, SignatureAgent, issued_id, read_agent
from auth_agent.website.config.settings import Settings

MAX_REMEMBERED = 1_024


class Named(NamedTuple):
    """A signature agent, and its identity for the website."""

    agent: SignatureAgent
    issuer: str
    id: str


class Names:
    """The patterns of AUTH_AGENT_SIGNATURES; they match the normalised name, never the raw text."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.issuer
        self._lists_issuer = "issuer" in settings.signatures
        self._patterns = [Pattern(one) for one in settings.signatures if one != "issuer"]
        self.loopback_allowed = not settings.secure
        self.read = functools.lru_cache(maxsize=MAX_REMEMBERED)(self._read)
        """Returns who a value of `Signature-Agent` names; raises `SignatureRefused`."""

    def _read(self, value: str) -> Named:
        agent = read_agent(value, loopback_allowed=self.loopback_allowed)
        own = issued_id(agent, self._issuer)
        listed = own is not None and self._lists_issuer
        if not listed and not any(pattern.fits(agent) for pattern in self._patterns):
            raise SignatureIgnored(
                "This website does not list the signature's agent (AUTH_AGENT_SIGNATURES).",
                code="agent_not_listed",
            )
        if own is not None:
            # One address, so that no spelling of it, and no query, is another one to fetch.
            return Named(agent._replace(address=agent.name), self._issuer, own)
        return Named(agent, agent.origin, agent.name)
