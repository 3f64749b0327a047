"""Key directories of signature agents, answered from a table."""

from __future__ import annotations

import json

from auth_agent.flow.exchange import HttpResponse
from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.protocol.signatures.agents import read_agent
from auth_agent.protocol.signatures.directory import MEDIA_TYPE
from tests.protocol.signatures.signing import jwk_of


class Directories:
    """`answers` holds a response, or an exception to raise, for each address."""

    def __init__(self) -> None:
        self.answers = {}
        self.asked = []

    def publish(self, agent: str, *keys, **headers) -> None:
        """Publishes these keys under the agent's name; none: an empty set."""
        body = json.dumps({"keys": [jwk_of(key) for key in keys]}).encode()
        found = HttpResponse(200, {"content-type": MEDIA_TYPE, **headers}, body)
        self.answers[read_agent(agent, loopback_allowed=True).address] = found

    def fail(self, agent: str, with_=None) -> None:
        address = read_agent(agent, loopback_allowed=True).address
        self.answers[address] = with_ or FetchRefused("ConnectError")

    def __call__(self, effect):
        self.asked.append(effect.url)
        answer = self.answers.get(effect.url, FetchRefused("the name has no address"))
        if isinstance(answer, Exception):
            raise answer
        return answer
