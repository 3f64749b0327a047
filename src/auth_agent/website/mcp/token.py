"""The agent behind a token alone, for servers whose own package reads the requests."""

from __future__ import annotations

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.effects import Flow
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Visit


class TokenVisit(Visit):
    """A request of which only the token is known."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        super().__init__("POST", "")
        self._token = token

    def header(self, name: str) -> str | None:
        return f"Bearer {self._token}" if name == "authorization" else None

    @property
    def raw_path(self) -> str:
        return ""

    @property
    def query(self) -> str:
        return ""


def enter_with_token(relying_party: RelyingParty, token: str) -> Flow[Entry | None]:
    """Returns the entry of a token's agent; None if the token or the website's rules refuse it.

    Raises `ServerUnavailable` or `ServerMisbehaved` if the token cannot be checked, which must
    not look like a refusal: clients would throw the token away.
    """
    visit = TokenVisit(token)
    outcome = relying_party.enter(visit)
    if not isinstance(outcome, (Pass, Reply)):
        outcome = yield from outcome
    if isinstance(visit.problem, (ServerUnavailable, ServerMisbehaved)):
        raise visit.problem
    if isinstance(outcome, Reply) or outcome.agent is None:
        return None
    return Entry(relying_party, visit, outcome)
