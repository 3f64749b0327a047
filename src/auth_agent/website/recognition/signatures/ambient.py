"""Sessions and signatures together: what a browser sends by itself, in the order that counts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.flow.effects import Flow
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.signatures.requests import Signatures, is_signed
from auth_agent.website.recognition.store import Store
from auth_agent.website.web.outcome import NOBODY, Recognised
from auth_agent.website.web.visit import Visit


class SignedSessions:
    """A valid session counts first; a signature counts if there is none."""

    def __init__(
        self,
        site: Site,
        store: Store | None,
        by_session: Callable[[Visit], Recognised | Flow[Recognised]],
    ) -> None:
        self._by_session = by_session
        self._signatures = Signatures(site, store)

    def recognise(self, visit: Visit) -> Recognised | Flow[Recognised]:
        """Returns at once what is known, else a flow that asks."""
        found = self._by_session(visit)
        if not is_signed(visit):
            return found
        if not isinstance(found, Recognised):
            return self._recognise_later(visit, found)
        return found if found.agent is not None else self._by_signature(visit, found)

    def is_published(self, visit: Visit, agent: Agent) -> Flow[bool]:
        """Returns False if the key of the agent's signature has left its key directory."""
        return self._signatures.is_published(visit, agent)

    def recognise_handshake(self, visit: Visit, found: Recognised) -> Recognised | Flow[Recognised]:
        """Recognises the signer of a WebSocket's handshake that has not our own Origin.

        A page of another website can open a socket through a browser that signs everything.
        """
        if not is_signed(visit):
            return found
        if visit.header("origin") is not None:
            return Recognised(None, problem=found.problem or _foreign_signature())
        return self._by_signature(visit, found)

    def _recognise_later(self, visit: Visit, flow: Flow[Recognised]) -> Flow[Recognised]:
        found = yield from flow
        if found.agent is not None:
            return found
        signer = self._by_signature(visit, found)
        return signer if isinstance(signer, Recognised) else (yield from signer)

    def _by_signature(self, visit: Visit, found: Recognised) -> Recognised | Flow[Recognised]:
        signer = self._signatures.recognise(visit)
        if found is NOBODY:
            return signer
        if isinstance(signer, Recognised):
            return _together(found, signer)
        return self._together_later(found, signer)

    def _together_later(self, found: Recognised, flow: Flow[Recognised]) -> Flow[Recognised]:
        return _together(found, (yield from flow))


def _together(session: Recognised, signer: Recognised) -> Recognised:
    """Returns the signer's identity alone, with the cookies that the lost session needs."""
    if signer.agent is None and session.problem is not None:
        return session
    return msgspec.structs.replace(signer, cookies=session.cookies)


def _foreign_signature() -> SignInRefused:
    return SignInRefused(
        "A page of another website opened this WebSocket in a browser that signs the agent's "
        "requests.",
        code="origin_required",
        status_code=401,
    )
